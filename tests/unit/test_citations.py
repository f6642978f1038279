"""Each document, section and file that a text of the repository cites exists; a failure names file and line.

The form of a citation is the path of a document and, behind it, its section: `docs/protocol.md §4`, or `§4 and §5` for
two of them. Sections of foreign documents are cited with their name, `RFC 6455 §5.2`, or alone where a file is about
one such document; neither is looked at here.
"""

import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

PROJECT = Path(__file__).parent.parent.parent
THIS = Path(__file__).relative_to(PROJECT).as_posix()
GENERATED = {
    "requirements.lock",
    "bench/results.json",
    "tests/interop/package-lock.json",
    "client/js/package-lock.json",
}
PICTURES = {".svg", ".png"}
SOURCE = ("client/", "embedding/", "node/", "fanout/", "shared/")
TARGETS = ("client", "embedding", "node", "fanout", "shared", "tests", "bench", "deploy", "docs", ".ci")
"""Folders whose files are cited by their path from the root."""

_SECTION = r"§(\d+(?:\.\d+)*)"
_BETWEEN = r"(?:\s|#|--|//|\*)"
"""What may stand between the words of a citation that is broken over two lines of a comment."""
_cited_documents = re.compile(r"(?<![\w/.-])[\w.-]+(?:/[\w.-]+)*\.md\b")
_SECTIONS = rf"{_SECTION}(?:(?:, | and | to |{_BETWEEN}+){_SECTION})*"
_cited_sections = re.compile(rf"([\w./-]+\.md)[`)\]]*,?{_BETWEEN}*({_SECTIONS})")
_contract_with_section = re.compile(rf"\bcontract(?:'s)?[`,]*{_BETWEEN}*(?=§)", re.IGNORECASE)
_numbered_heading = re.compile(r"^#{2,}\s+(\d+(?:\.\d+)*)\b", re.MULTILINE)
_headings = re.compile(r"^#+\s+(.*?)\s*$", re.MULTILINE)
_links = re.compile(r"\]\(([^)\s]+)\)")
_paths_from_root = re.compile(rf"(?<![\w/.-])(?:{'|'.join(map(re.escape, TARGETS))})/[\w./*-]*[\w*/]")
_files_in_backticks = re.compile(r"`([\w./*-]+\.(?:py|lua|js|css|html|toml|yaml|cfg))`")
_code_blocks = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


class Text(NamedTuple):
    """A file of the repository, by its path from the root."""

    name: str
    text: str

    def at(self, position: int) -> str:
        return f"{self.name}:{self.text.count(chr(10), 0, position) + 1}"


def _tracked() -> Iterator[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=True, text=True).stdout
    return (name for name in listed.split("\0") if (PROJECT / name).is_file())


@cache
def texts() -> tuple[Text, ...]:
    names = (name for name in _tracked() if name not in GENERATED and Path(name).suffix not in PICTURES)
    return tuple(Text(name, (PROJECT / name).read_text(errors="replace")) for name in names if name != THIS)


def documents() -> tuple[Text, ...]:
    return tuple(text for text in texts() if text.name.endswith(".md"))


def sources() -> tuple[Text, ...]:
    """The code of the product, whose docstrings and comments name its files."""
    return tuple(text for text in texts() if text.name.startswith(SOURCE))


def _resolve(cited: str, citing: str) -> Path | None:
    """The document of that name: from the root, or beside the file that cites it."""
    for base in (PROJECT, (PROJECT / citing).parent):
        if (base / cited).is_file():
            return (base / cited).resolve()
    return None


# ---- the checks: each a function from texts to complaints


def missing_documents(cited_in: Iterable[Text]) -> list[str]:
    return [
        f"{text.at(found.start())}: there is no {found.group()}"
        for text in cited_in
        for found in _cited_documents.finditer(text.text)
        if _resolve(found.group(), text.name) is None
    ]


def missing_sections(cited_in: Iterable[Text]) -> list[str]:
    complaints: list[str] = []
    for text in cited_in:
        for found in _cited_sections.finditer(text.text):
            document = _resolve(found[1], text.name)
            if document is None:
                continue  # `missing_documents` says so
            there = set(_numbered_heading.findall(document.read_text()))
            complaints += [
                f"{text.at(found.start())}: {found[1]} has no section {number}"
                for number in re.findall(_SECTION, found[2])
                if number not in there
            ]
        complaints += [
            f"{text.at(found.start())}: cite `docs/protocol.md §…`, not the contract"
            for found in _contract_with_section.finditer(text.text)
        ]
    return complaints


def missing_own_sections(document: Text) -> list[str]:
    """A numbered document cites its own sections without its name."""
    there = set(_numbered_heading.findall(document.text))
    return [
        f"{document.at(found.start())}: there is no section {found[1]} on this page"
        for found in re.finditer(_SECTION, document.text)
        if found[1] not in there
    ]


def missing_links(cited_in: Iterable[Text]) -> list[str]:
    """Links of documents to files and headings of the repository."""
    complaints: list[str] = []
    for text in cited_in:
        for found in _links.finditer(_code_blocks.sub(_blank, text.text)):
            path, _, anchor = found[1].partition("#")
            if re.match(r"\w+:", path):
                continue
            target = (PROJECT / text.name).parent / path if path else PROJECT / text.name
            if not target.exists():
                complaints.append(f"{text.at(found.start())}: there is no {path}")
            elif anchor and anchor not in set(map(_anchor, _headings.findall(target.read_text()))):
                complaints.append(f"{text.at(found.start())}: {path or text.name} has no heading #{anchor}")
    return complaints


def missing_files(cited_in: Iterable[Text]) -> list[str]:
    """Files that are named by their path from the root, or in backticks, in whatever way a reader would find them.

    In code the path may begin at its own folder or at its layer; a document may give the bare name of any file.
    `*` stands for any characters, and a name in capitals for files to come.
    """
    bare_names = {Path(name).name for name in _tracked()}
    complaints: list[str] = []
    for text in cited_in:
        folder = Path(text.name).parent
        is_document = text.name.endswith(".md")
        places = {".", folder.as_posix(), folder.parts[0] if folder.parts else "."}
        named = [(found.start(), found.group().rstrip("/"), {"."}) for found in _paths_from_root.finditer(text.text)]
        named += [(found.start(), found[1], places) for found in _files_in_backticks.finditer(text.text)]
        complaints += [
            f"{text.at(position)}: there is no {path}"
            for position, path, within in named
            if not ("NAME" in path or Path(path).stem.isupper())
            and not (is_document and path in bare_names)
            and not any(_is_there(PROJECT / place, path) for place in within)
        ]
    return list(dict.fromkeys(complaints))


def _is_there(folder: Path, path: str) -> bool:
    return any(folder.glob(path)) if "*" in path else (folder / path).exists()


def _blank(block: re.Match[str]) -> str:
    """As long as it was, so that lines keep their numbers."""
    return re.sub(r"[^\n]", " ", block.group())


def _anchor(heading: str) -> str:
    """As GitHub names a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# ---- the repository


def _report(complaints: list[str]) -> None:
    assert complaints == [], "\n".join(complaints)


def test_every_cited_document_exists() -> None:
    _report(missing_documents(texts()))


def test_every_cited_section_exists_in_its_document() -> None:
    _report(missing_sections(texts()))


def test_every_section_that_the_protocol_cites_of_itself_exists() -> None:
    (protocol,) = (text for text in texts() if text.name == "docs/protocol.md")
    _report(missing_own_sections(protocol))


def test_the_protocol_has_the_sections_1_to_12_in_order() -> None:
    (protocol,) = (text for text in texts() if text.name == "docs/protocol.md")
    assert _numbered_heading.findall(protocol.text) == [str(number) for number in range(1, 13)]


def test_every_link_of_a_document_leads_somewhere() -> None:
    _report(missing_links(documents()))


def test_every_file_that_a_document_or_a_docstring_names_exists() -> None:
    _report(missing_files((*documents(), *sources())))


# ---- the checks themselves

Check = Callable[[Iterable[Text]], list[str]]
SEEN: list[tuple[Check, str, list[str]]] = [
    (missing_documents, "see\n`docs/nowhere.md`.", ["node/a.py:2: there is no docs/nowhere.md"]),
    (missing_documents, "README.md, `docs/protocol.md`, bench/README.in.md", []),
    (missing_sections, "`docs/protocol.md §4`, docs/protocol.md §4 and §5", []),
    (missing_sections, "\n\n`docs/protocol.md §13`", ["node/a.py:3: docs/protocol.md has no section 13"]),
    (missing_sections, "docs/protocol.md §4 and §14", ["node/a.py:1: docs/protocol.md has no section 14"]),
    (missing_sections, "# docs/protocol.md\n# §15", ["node/a.py:1: docs/protocol.md has no section 15"]),
    (missing_sections, "RFC 6455 §15.9, and §15.9 alone", []),
    (missing_sections, "the contract, §4", ["node/a.py:1: cite `docs/protocol.md §…`, not the contract"]),
    (missing_files, "`node/app.py`, fanout/lua/lease_*.lua, `docs/`, node/, `app.py`, `web/NAME.py`", []),
    (missing_files, "\n`node/nowhere.py`", ["node/a.py:2: there is no node/nowhere.py"]),
    (missing_files, "`bus.py`", ["node/a.py:1: there is no bus.py"]),
    (missing_links, "[a](../README.md) [b](https://example.org/x.md)", []),
    (missing_links, "[a](../nowhere.html)", ["node/a.py:1: there is no ../nowhere.html"]),
    (missing_links, "[a](../README.md#nowhere)", ["node/a.py:1: ../README.md has no heading #nowhere"]),
]


@pytest.mark.parametrize(("check", "text", "complaints"), SEEN)
def test_a_check_sees(check: Check, text: str, complaints: list[str]) -> None:
    assert check([Text("node/a.py", text)]) == complaints


def test_a_section_that_a_page_does_not_have_is_seen() -> None:
    page = Text("docs/page.md", "## 1 One\nas §1 says, and\n§2")
    assert missing_own_sections(page) == ["docs/page.md:3: there is no section 2 on this page"]
