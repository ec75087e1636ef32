# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The page: self-contained, well-formed, escaped, private where asked, small, the same for the same input."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radbundles.components.reports import (
    DistilledReport,
    Finding,
    ImageGrid,
    Page,
    Picture,
    ReportText,
    Table,
    render_page,
    write_page,
)
from radbundles.components.reports.page import evidence_runs, flatten, format_number

PageOf = Callable[..., Page]
VOID = {"meta", "img", "line", "use", "br"}


class Reader(HTMLParser):
    """Collects the elements and the visible text of a page, and checks that every element is closed in turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"attribute given twice in <{tag}>"
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)

    def attributes(self, tag: str, name: str) -> list[str]:
        """Values of an attribute of all elements of a kind."""
        return [attributes[name] for kind, attributes in self.elements if kind == tag and name in attributes]


@pytest.fixture(scope="module")
def html(page_of: PageOf) -> str:
    """The page with every block."""
    return render_page(page_of())


def test_page_is_well_formed_and_ids_are_unique(html: str) -> None:
    reader = Reader(html)
    kinds = {tag for tag, _ in reader.elements}
    assert {"h1", "svg", "path", "img", "ruby", "mark", "table", "details", "pre"} <= kinds
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids)) > 10
    used = re.findall(r'(?:href="#|url\(#)([^")]+)', html)
    assert used and set(used) <= set(ids)


def test_nothing_is_loaded_from_elsewhere(html: str) -> None:
    reader = Reader(html)
    assert "://" not in html and "@import" not in html
    assert not {"script", "link", "iframe", "object", "form", "base"} & {tag for tag, _ in reader.elements}
    for _, attributes in reader.elements:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,"))
    assert all(address.startswith("#") for address in re.findall(r"url\(([^)]*)\)", html))
    policy = next(a["content"] for tag, a in reader.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy


def test_text_is_escaped(html: str) -> None:
    assert "<script" not in html and "<run>" not in html and "<v>" not in html
    text = "".join(Reader(html).text)
    assert "<script>alert('zebra')</script>" in text
    assert 'An "image" <b>' in Reader(html).attributes("img", "alt")


def test_every_image_has_words_and_a_size(html: str) -> None:
    images = [attributes for tag, attributes in Reader(html).elements if tag == "img"]
    assert len(images) == 5
    assert all(image["alt"] and int(image["width"]) > 0 and int(image["height"]) > 0 for image in images)
    assert "training: 9 at epoch 1, 1.8 at epoch 5. test: no values." in html


def test_images_are_scaled_down_and_never_up(page_of: PageOf) -> None:
    sizes = []
    for source in Reader(render_page(page_of(max_side=100))).attributes("img", "src"):
        sizes.append(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).size)
    assert sizes == [(75, 100), (64, 64), (64, 64), (32, 32), (32, 32)]


def test_pixels_survive(page_of: PageOf) -> None:
    values = np.linspace(0, 1, 256).reshape(16, 16)
    grid = ImageGrid(title="t", columns=["a"], rows=[[Picture(image=values, alt="a")]])
    source = Reader(render_page(page_of(blocks=[grid]))).attributes("img", "src")[0]
    image = Image.open(io.BytesIO(base64.b64decode(source.split(",")[1])))
    assert image.mode == "L"
    assert (np.asarray(image).ravel() == np.arange(256)).all()


def test_page_stays_small_whatever_goes_in(html: str) -> None:
    assert len(html) < 1_000_000  # noise is the worst that PNG and a chart of 20 000 points can meet


def test_same_input_gives_the_same_bytes(page_of: PageOf, tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        write_page(tmp_path / "new" / name, page_of())
    first, second = (tmp_path / "new" / name for name in ("a.html", "b.html"))
    assert first.read_bytes() == second.read_bytes()
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.html", "b.html"]


def test_report_words_are_hidden_everywhere_when_asked(page_of: PageOf, html: str) -> None:
    hidden = render_page(page_of(show_text=False))
    html, hidden = (re.sub(r'src="[^"]*"', "", page) for page in (html, hidden))  # noise spells words too
    for word in ("zeb", "quagga", "effusion", "large"):
        assert word in html.lower()
        assert word not in hidden.lower()
    text = "".join(Reader(hidden).text)
    assert "····· ········ <······>" in text  # as long as they were
    assert "Falling." in text and "item-1" in text and "plain" in text


def test_joined_report_text_has_to_be_wrapped_again() -> None:
    assert ReportText("Left, 3 cm.").hidden() == "····, · ··."


def test_masked_words_show_what_was_predicted(html: str) -> None:
    words = html[html.index('<p class="report tokens">') :]
    words = words[: words.index("</p>")]
    assert re.findall(r'class="token (\w+)( entity)?"', words) == [
        ("visible", ""),
        ("right", " entity"),
        ("wrong", " entity"),
        ("wrong", " entity"),
        ("visible", ""),
    ]
    assert "##ro" in words and "[CLS]" not in words and "[PAD]" not in words
    assert re.search(r'zeb<span class="unseen">[^<]*</span></span><ruby[^>]*>ra<', words), "pieces stand together"


def test_research_notice_is_always_there(page_of: PageOf) -> None:
    text = "".join(Reader(render_page(page_of(key_figures=[], blocks=[], manifest=None))).text)
    assert "Not a medical device" in text
    assert "How this run was made" not in text


def test_evidence_is_cut_out_and_the_first_finding_wins() -> None:
    text = "Zebra effusion. No quagga."
    zebra = Finding(text="zebra", certainty="present", section="findings", start=0, end=14)
    quagga = Finding(text="quagga", certainty="absent", section="findings", start=16, end=25)
    wide = Finding(text="both", certainty="uncertain", section="findings", start=-5, end=15)
    assert evidence_runs(text, "findings", [zebra, quagga]) == [
        ("Zebra effusion", "present"),
        (". ", ""),
        ("No quagga", "absent"),
        (".", ""),
    ]
    runs = evidence_runs(text, "findings", [zebra, quagga, wide])
    assert [certainty for _, certainty in runs] == ["present", "uncertain", "", "absent", ""]
    assert "".join(piece for piece, _ in runs) == text
    assert evidence_runs(text, "impression", [zebra]) == [(text, "")]
    assert evidence_runs("", "findings", [zebra]) == []


def test_distilled_record_gives_its_sentences_or_else_its_entities() -> None:
    evidence = {"section": "findings", "start": 1, "end": 5}
    entities = [
        {"entity": "effusion", "certainty": "present", "evidence": evidence, "descriptors": ["small", "left"]},
        {"entity": "edema", "certainty": "absent", "evidence": evidence, "descriptors": []},
    ]
    report = DistilledReport.from_record(
        "x", {}, {"text": "There is effusion. There is no edema.", "entities": entities}
    )
    first = Finding(
        text="There is effusion.", certainty="present", section="findings", start=1, end=5, detail="small, left"
    )
    assert report.findings[0] == first
    assert report.findings[1].text == "There is no edema." and report.findings[1].certainty == "absent"
    report = DistilledReport.from_record("x", {}, {"text": "Effusion without edema.", "entities": entities})
    assert [finding.text for finding in report.findings] == ["effusion", "edema"]
    assert DistilledReport.from_record("x", {}, {"text": "", "entities": []}).findings == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (61.234567, "61.23"),
        (1234567, "1\u202f234\u202f567"),
        (-0.002, "\u22120.002"),
        (12000.0, "12\u202f000"),
        (float("nan"), "–"),
        (None, "–"),
        ("as it is", "as it is"),
        (True, True),
        (0, "0"),
    ],
)
def test_numbers_are_written_for_reading(value: object, text: object) -> None:
    assert format_number(value) == text


def test_nested_manifest_becomes_rows() -> None:
    assert flatten({"a": {"b": 1, "c": [2, 3]}, "d": None}) == [("a.b", 1), ("a.c.0", 2), ("a.c.1", 3), ("d", None)]


def test_uneven_table_is_refused() -> None:
    with pytest.raises(ValueError, match="row 1 has 1 cells for 2 columns"):
        Table(title="t", columns=["a", "b"], rows=[[1, 2], [1]])


@pytest.mark.parametrize("shape", [(3, 8, 8), (8,), (0, 4)])
def test_array_that_is_no_image_is_refused(page_of: PageOf, shape: tuple[int, ...]) -> None:
    grid = ImageGrid(title="t", columns=["a"], rows=[[Picture(image=np.zeros(shape), alt="a")]])
    with pytest.raises(ValueError, match=re.escape(str(shape))):
        render_page(page_of(blocks=[grid]))
