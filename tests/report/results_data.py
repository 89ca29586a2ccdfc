"""Small pages of results, as plain data."""

HOSTILE = '<img src=x onerror="alert(1)"> & $x^2$'


def who(kind, label, settings=""):
    return {"kind": kind, "label": label, "settings": settings}


LINES = [
    who("original", "original"),
    who("gold", "gold"),
    who("method", "lotus", "paper"),
    who("method", "lotus", "tuned"),
    who("method", HOSTILE, "tuned"),
]


def rows_of(values, spread=0.5, failed=()):
    return [
        {
            **line,
            "value": value,
            "low": None if value is None or spread is None else value - spread,
            "high": None if value is None or spread is None else value + spread,
            "failed": i in failed,
        }
        for i, (line, value) in enumerate(zip(LINES, values, strict=True))
    ]


def chart_of(values=(3.0, 1.0, 2.0, 1.5, 2.5), **more):
    return {"label": "JSD ×10³", "good": "down", "least": 0.0, "most": None} | {
        "rows": rows_of(values, **more)
    }


def cloud_of(points=((0, 3), (0, 1), (-1, 2), (-0.5, 1.5), (-2, 2.5)), **more):
    both = [{**line, "x": x, "y": y} for line, (x, y) in zip(LINES, points, strict=True)]
    axis = {"least": None, "most": None}
    return {"x": {"label": "across", **axis}, "y": {"label": "up", **axis}, "points": both} | more


def panels():
    return [
        {**line, "forget": [9, 1, 0], "unseen": [5, 3, 2], "distance": 0.4 if i else None}
        for i, line in enumerate(LINES)
    ]


def variants():
    run = [{"epoch": e, "tau": 1.0 + e, "forget_accuracy": 1 - e / 9} for e in range(3)]
    aim = [{**row, "unseen_accuracy": 0.8} for row in run]
    return [
        {"label": "dynamic", "settings": ["paper"], "runs": [aim, aim[:1]]},
        {"label": HOSTILE, "settings": ["paper", "tuned"], "runs": [run]},
    ]


def page_of(**more):
    heads = [
        {"label": "JSD ×10³", "good": "down", "printed": False, "words": False},
        {"label": "printed", "good": "", "printed": True, "words": False},
        {"label": "Test acc. %", "good": "near gold"},
    ]
    rows = [
        {
            **line,
            "cells": [
                {"text": f"{10 + i}.5", "spread": f"± 0.0{i}", "mark": "best" if i == 2 else ""},
                {"text": f"0.7{i}"},
                {"text": f"9{i}.1", "mark": "as good" if i == 3 else ""},
            ],
        }
        for i, line in enumerate(LINES)
    ]
    section = {
        "name": "digits",
        "title": f"digits {HOSTILE}",
        "table": {"first": "Method", "heads": heads, "rows": rows},
        "notes": ["A remark."],
        "intervals": [chart_of()],
        "scatters": [cloud_of()],
        "epochs": variants(),
        "entropies": panels(),
    }
    page = {
        "title": f"Table 1 {HOSTILE}",
        "summary": [HOSTILE],
        "sections": [section],
        "glossary": [{"label": "JSD", "good": "down", "text": "A divergence."}],
        "run": {"seeds": "3", "settings": {HOSTILE: "epochs 3"}},
    }
    return page | more
