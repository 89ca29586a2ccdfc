"""Citations of the methods, as BibTeX."""


def entry(kind: str, key: str, **fields: str) -> str:
    """One entry, a field on each line."""
    body = "".join(f",\n  {name} = {{{value}}}" for name, value in fields.items())
    return f"@{kind}{{{key}{body}\n}}"


KURMANJI = entry(
    "inproceedings",
    "kurmanji2023towards",
    title="Towards Unbounded Machine Unlearning",
    author="Kurmanji, Meghdad and Triantafillou, Peter and Hayes, Jamie and Triantafillou, Eleni",
    booktitle="Advances in Neural Information Processing Systems",
    year="2023",
)
LOTUS = entry(
    "inproceedings",
    "spartalis2025lotus",
    title="{LoTUS}: Large-Scale Machine Unlearning with a Taste of Uncertainty",
    author="Spartalis, Christoforos N. and Semertzidis, Theodoros and Gavves, Efstratios and "
    "Daras, Petros",
    booktitle="IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    year="2025",
)
JIA = entry(
    "inproceedings",
    "jia2023model",
    title="Model Sparsity Can Simplify Machine Unlearning",
    author="Jia, Jinghan and Liu, Jiancheng and Ram, Parikshit and Yao, Yuguang and Liu, Gaowen "
    "and Liu, Yang and Sharma, Pranay and Liu, Sijia",
    booktitle="Advances in Neural Information Processing Systems",
    year="2023",
)

FOSTER = entry(
    "inproceedings",
    "foster2024fast",
    title="Fast Machine Unlearning without Retraining through Selective Synaptic Dampening",
    author="Foster, Jack and Schoepf, Stefan and Brintrup, Alexandra",
    booktitle="AAAI Conference on Artificial Intelligence",
    year="2024",
)
GRAVES = entry(
    "inproceedings",
    "graves2021amnesiac",
    title="Amnesiac Machine Learning",
    author="Graves, Laura and Nagisetty, Vineel and Ganesh, Vijay",
    booktitle="AAAI Conference on Artificial Intelligence",
    year="2021",
)
TARUN = entry(
    "article",
    "tarun2023fast",
    title="Fast Yet Effective Machine Unlearning",
    author="Tarun, Ayush K. and Chundawat, Vikram S. and Mandal, Murari and Kankanhalli, Mohan",
    journal="IEEE Transactions on Neural Networks and Learning Systems",
    year="2023",
)
CHOI = entry(
    "article",
    "choi2023towards",
    title="Towards Machine Unlearning Benchmarks: Forgetting the Personal Identities in Facial "
    "Recognition Systems",
    author="Choi, Dasol and Na, Dongbin",
    journal="arXiv preprint arXiv:2311.02240",
    year="2023",
)
CHUNDAWAT = entry(
    "inproceedings",
    "chundawat2023can",
    title="Can Bad Teaching Induce Forgetting? Unlearning in Deep Networks Using an "
    "Incompetent Teacher",
    author="Chundawat, Vikram S. and Tarun, Ayush K. and Mandal, Murari and Kankanhalli, Mohan",
    booktitle="AAAI Conference on Artificial Intelligence",
    year="2023",
)
FAN = entry(
    "inproceedings",
    "fan2024salun",
    title="{SalUn}: Empowering Machine Unlearning via Gradient-based Weight Saliency in "
    "Both Image Classification and Generation",
    author="Fan, Chongyu and Liu, Jiancheng and Zhang, Yihua and Wong, Eric and "
    "Wei, Dennis and Liu, Sijia",
    booktitle="International Conference on Learning Representations",
    year="2024",
)
THUDI = entry(
    "inproceedings",
    "thudi2022unrolling",
    title="Unrolling {SGD}: Understanding Factors Influencing Machine Unlearning",
    author="Thudi, Anvith and Deza, Gabriel and Chandrasekaran, Varun and Papernot, Nicolas",
    booktitle="IEEE European Symposium on Security and Privacy",
    year="2022",
)
GEORGIEV = entry(
    "inproceedings",
    "georgiev2025attribute",
    title="Attribute-to-Delete: Machine Unlearning via Datamodel Matching",
    author="Georgiev, Kristian and Rinberg, Roy and Park, Sung Min and Garg, Shivam and Ilyas, "
    "Andrew and Madry, Aleksander and Neel, Seth",
    booktitle="International Conference on Learning Representations",
    year="2025",
)
GOEL = entry(
    "misc",
    "goel2022towards",
    title="Towards Adversarial Evaluations for Inexact Machine Unlearning",
    author="Goel, Shashwat and Prabhu, Ameya and Sanyal, Amartya and Lim, Ser-Nam "
    "and Torr, Philip and Kumaraguru, Ponnurangam",
    year="2022",
    note="arXiv:2201.06640",
)
HINTON = entry(
    "misc",
    "hinton2015distilling",
    title="Distilling the Knowledge in a Neural Network",
    author="Hinton, Geoffrey and Vinyals, Oriol and Dean, Jeff",
    year="2015",
    note="arXiv:1503.02531",
)
