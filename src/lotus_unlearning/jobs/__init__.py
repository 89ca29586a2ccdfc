"""Jobs: work that is run wherever there is room, kept, and never done twice.

A job (``job``) is named by all that determines its result, and one function does it:
``work(job, needs) -> Made``. ``schedule`` runs the jobs that a store (``store``) does not hold yet,
each after those whose files it needs, in this process, in several (``executors``) or on a Ray
cluster (``on_ray``). A run that is killed goes on where it was; runs on one folder share the jobs.
"""
