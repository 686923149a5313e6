"""The page and the pictures: complete, safe, self-contained, quick."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from report_data import make_curve, make_experiment, make_results

import labeltrain.report
from labeltrain.errors import StoreUnwritable
from labeltrain.metrics.costs import BOOKED, CostLedger
from labeltrain.report import write

VOID = {"meta", "br", "img", "hr", "link", "input"}


class Checker(HTMLParser):
    """Collects text, tags and attributes, and checks that tags are closed in order."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.values, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.values += [(tag, k, v or "") for k, v in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.values += [(tag, k, v or "") for k, v in attrs]

    def handle_endtag(self, tag):
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(files):
    checker = Checker()
    html = files.html.read_text(encoding="utf-8")
    checker.feed(html)
    assert checker.open == []
    return html, checker, " ".join(checker.text)


def assert_self_contained(html, checker):
    assert "script" not in checker.tags
    assert not {"link", "iframe", "object", "embed", "base", "form"} & set(checker.tags)
    for tag, name, value in checker.values:
        assert not name.startswith("on")
        if name in ("src", "href", "xlink:href", "srcset", "data", "action"):
            assert value.startswith(("#", "data:")), (tag, name, value)
    assert "@import" not in html
    assert not re.search(r"url\((?!['\"]?(#|data:))", html)
    assert not re.search(r"https?://", html)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    experiments = [
        make_experiment(),
        make_experiment("fifty-two", 52),
        make_experiment("one-split", 4, rare=False, redrawn=False),
    ]
    start = time.process_time()  # what else the machine does is not counted
    files = write(make_results(experiments), tmp_path_factory.mktemp("report"))
    return files, time.process_time() - start


def test_three_experiments_take_a_few_seconds(three):
    assert three[1] < 16  # about 5 s on an idle core


def test_page_is_self_contained_and_whole(three):
    html, checker, text = read(three[0])
    assert_self_contained(html, checker)
    assert checker.tags.count("svg") == 1 + 4 + 5 + 4
    for expected in (
        "Does margin sampling save labels?",
        "Complete: every trajectory ran to its last round.",
        "To reach 90 % of random's rise,",
        "confirm it on fresh ones",
        "On this split: all seeds share",
        "Every seed draws its own",
        "Label saving against random",
        "Win matrix",
        "p (Holm)",
        "Negative log likelihood",
        "Calibration error",
        "class-51",
        "Encoding: 41.5 s",
        "isotonic regression",
        "budget: 260",
        "python",
        "0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
    ):
        assert expected in text, expected


def test_ids_are_unique_over_all_pictures(three):
    _, checker, _ = read(three[0])
    links = [v[1:] for _, k, v in checker.values if k == "href"]
    ids = [v for _, k, v in checker.values if k == "id"]
    for target in set(links):
        assert ids.count(target) == 1, target


def test_pictures_lie_beside_the_page(three):
    names = [p.name for p in three[0].pngs]
    assert names[0] == "overview.png"
    assert len(names) == len(set(names)) == 14
    assert "curve-reuters-r8-accuracy.png" in names
    assert "saving-fifty-two.png" in names
    assert "curve-fifty-two-balanced_accuracy_min5.png" in names
    assert "curve-one-split-balanced_accuracy_min5.png" not in names
    for path in three[0].pngs:
        with Image.open(path) as image:
            assert image.size[0] >= 700
            assert round(image.info["dpi"][0]) == 150
            assert np.asarray(image.convert("L")).std() > 5


def test_same_results_same_bytes(tmp_path):
    results = make_results(seeds=2)
    a, b = write(results, tmp_path / "a"), write(results, tmp_path / "b")
    assert a.html.read_bytes() == b.html.read_bytes()
    assert a.pngs[0].read_bytes() == b.pngs[0].read_bytes()


def test_everything_a_user_names_is_escaped(tmp_path):
    evil = '<script>alert("x")</script>'
    e = make_experiment(f"{evil} $\\frac{{1}}{{2}}$", 3, facts={evil: evil})
    e = replace(e, classes=(evil, "x & y", "it's"), dataset=evil, encoder=evil, learner=evil)
    curves = tuple(make_curve(e, s, k) for s in ("random", f"{evil} $x_") for k in range(2))
    curves += (make_curve(e, "late", 0, rounds=1, complete=False),)
    results = make_results([e, make_experiment("other", 3)], title=evil, spec=evil)
    curves += tuple(c for c in results.curves if c.experiment == "other")
    files = write(replace(results, curves=curves, versions={evil: evil}), tmp_path)
    html, checker, text = read(files)
    assert_self_contained(html, checker)
    assert "<script" not in html
    assert evil in text


def test_a_partial_result_says_so_first(tmp_path):
    e = make_experiment()
    curves = [make_curve(e, "random", k) for k in range(3)]
    curves += [make_curve(e, "margin", k) for k in range(2)]
    curves += [make_curve(e, "margin", 2, rounds=4, complete=False)]
    results = make_results([e], curves=tuple(curves), complete=False)
    html, _, text = read(write(results, tmp_path))
    assert "Partial result." in text
    assert "random 3 of 3, margin 2 of 3" in text
    assert "margin, seed 2: stopped at 80 of 260 labels." in text
    assert html.index("Partial result") < html.index("<h2")
    # An unfinished curve is enough, even where the study forgot to say so.
    assert "Partial result." in read(write(replace(results, complete=True), tmp_path))[2]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"strategies": ("random",), "seeds": 1}, "Only the baseline"),
        ({"strategies": ("margin",), "seeds": 1}, "no label saving and no test"),
        ({"strategies": ("margin", "badge"), "seeds": 3}, "No saving can be computed"),
        ({"strategies": ("random", "margin"), "seeds": 1}, "1 seed, a test needs 6"),
        ({"rounds": 1, "seeds": 2}, "does not rise"),
        ({"curves": ()}, "No round is finished yet"),
    ],
)
def test_little_is_still_a_report(tmp_path, options, says):
    html, checker, text = read(write(make_results(**options), tmp_path))
    assert says in text
    assert_self_contained(html, checker)


def test_no_experiment_at_all(tmp_path):
    files = write(make_results(seeds=0, curves=(), complete=False), tmp_path)
    assert files.pngs == ()
    assert "Partial result" in read(files)[2]


def test_scores_that_are_not_numbers(tmp_path):
    results = make_results(seeds=6)
    for c in results.curves:
        c.scores["ece"][:] = np.nan
        if c.strategy == "badge":
            c.scores["accuracy"][-1] = np.nan
    _, _, text = read(write(results, tmp_path))
    assert "accuracy: not a number, or absent, in badge seed 0" in text
    assert "nan" not in text.lower().split()


def test_many_strategies_and_long_names(tmp_path):
    names = ["random", *(f"strategy-with-a-rather-long-name-{k}" for k in range(14))]
    files = write(make_results(strategies=names, seeds=2), tmp_path)
    assert len(files.pngs) == 6 - 1


def test_names_that_collide_as_file_names(tmp_path):
    es = [make_experiment("a/b", 3), make_experiment("a b", 3), make_experiment("A-b", 3)]
    files = write(make_results(es, strategies=("random",), seeds=1), tmp_path)
    assert len({p.name.lower() for p in files.pngs}) == len(files.pngs)
    assert all(p.parent == tmp_path for p in files.pngs)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreUnwritable, match="cannot make the folder"):
        write(make_results(seeds=1), tmp_path / "file" / "deeper")


def test_no_global_plotting_state(tmp_path):
    import matplotlib as mpl

    before, loaded = dict(mpl.rcParams), set(sys.modules)
    write(make_results(seeds=1), tmp_path)
    assert dict(mpl.rcParams) == before
    assert "matplotlib.pyplot" not in set(sys.modules) - loaded


MODULES = [m.name for m in pkgutil.iter_modules(labeltrain.report.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(f"labeltrain.report.{name}")
    assert doctest.testmod(module).failed == 0


def test_a_loop_and_its_final_learner_are_ranked_as_one(tmp_path):
    experiments = [make_experiment(name, 3) for name in ("a", "a, final mlp", "b")]
    spent = dict.fromkeys(BOOKED, 1.0)
    costs = (CostLedger("a, final mlp", "margin", "mlp", 260, 2, spent, spent),)
    results = make_results(experiments, seeds=2, costs=costs)
    page, _, text = read(write(results, tmp_path / "three"))
    part = page.split('id="together"')[1].split("</table>")[0]
    heads = re.findall(r"<th[^>]*>([^<]+)</th>", part.split("</thead>")[0])
    assert heads == ["Strategy", "Mean rank", "a, final mlp", "b"]
    assert "An experiment and its final learner are one data set, which counts once" in text
    two = replace(results, experiments=results.experiments[:2])
    two = replace(two, curves=tuple(c for c in results.curves if c.experiment != "b"))
    assert 'id="together"' not in read(write(two, tmp_path / "two"))[0]


def test_the_machine_is_named_where_the_page_says(three):
    html = read(three[0])[0]
    assert html.index("machine named below") < html.index("Versions and machine")


def test_experiments_are_ranked_together(three):
    page, _, _ = read(three[0])
    part = page.split('id="together"')[1].split("</table>")[0]
    names = re.findall(r'<th scope="row">(?:<span[^>]*></span>)?([^<]+)', part)
    assert names[-1] == "random"
    ranks = [float(x) for x in re.findall(r"</th><td>([\d.]+)</td>", part)]
    assert ranks == sorted(ranks)
    assert abs(sum(ranks) - len(ranks) * (len(ranks) + 1) / 2) < 0.2
