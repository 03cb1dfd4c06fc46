"""The hooks of mkdocs: pages, tables, figures and formulae that the site generates."""

import re
import sys
from pathlib import Path

from markdown.extensions.toc import slugify
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "docs/hooks")]

import api  # noqa: E402
import dark  # noqa: E402
import executed  # noqa: E402
import maths  # noqa: E402
import tables  # noqa: E402

PICTURES = ROOT / "docs/hooks/pictures.py"
# Files of the repository that are pages of the site.
BORROWED = {
    "results/README.md": "results/index.md",
    "results/tabular/README.md": "results/tabular.md",
    "results/images_table/README.md": "results/images_table.md",
    "results/images_pilots.md": "results/images_pilots.md",
    "benchmarks/README.md": "benchmarks.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
}
# A flag in a sentence, which browsers would break after its dashes.
FLAG = re.compile(r"<code>(--[^<\s]{1,34})</code>")
# Attributes whose address a browser loads.
LOADED = re.compile(
    r'<(?:script|img|link|iframe|source|video)\b[^>]*?(?:src|href)="(https?:)?//', re.I
)


def on_config(config):
    """List the rooms of the API below its entry."""
    for entry in config.nav:
        if "API" in entry:
            entry["API"] = [{room: f"api/{room}.md"} for room in api.rooms()]
    return config


def on_files(files: Files, config) -> Files:
    """Add the pages of the API, of results, of notebooks, and all figures."""

    def add(name, **content):
        files.append(File.generated(config, name, **content))

    notebooks = sorted(executed.NOTEBOOKS.glob("*.py"))
    ran = executed.cells([*notebooks, PICTURES])
    for script in notebooks:
        name = script.stem
        page = executed.page(script, ran[name], f"../img/{name}")
        add(f"notebooks/{name}.md", content=page)
        add(f"notebooks/{name}.ipynb", content=executed.as_ipynb(script))
        for path in (executed.CACHE / name).glob("*.png"):
            add(f"img/{name}/{path.name}", abs_src_path=str(path))
    for path in (executed.CACHE / PICTURES.stem).rglob("*.png"):
        name = path.relative_to(executed.CACHE / PICTURES.stem)
        add(f"img/{name}", abs_src_path=str(path))
    for path in dark.figures():
        stem = f"img/{path.relative_to(ROOT).with_suffix('')}"
        add(f"{stem}.png", abs_src_path=str(path))
        add(f"{stem}-dark.png", abs_src_path=str(dark.darkened(path)))
    for room in api.rooms():
        add(f"api/{room}.md", content=api.room_page(room))
    for source, name in BORROWED.items():
        add(name, content=borrowed(source))
    return files


def borrowed(source: str) -> str:
    """Return a page of the repository with its links as the site has them."""
    path = ROOT / source
    depth = "../" if "/" in BORROWED[source] else ""

    def link(match):
        image, words, target = match.groups()
        file, _, heading = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        if "://" in target or not file:
            return match[0]
        name = str(there.relative_to(ROOT))
        if name == "README.md":
            return f"[{words}]({depth}index.md)"
        if name in BORROWED:
            return (
                f"[{words}]({depth}{BORROWED[name]}{'#' + heading if heading else ''})"
            )
        if there.suffix == ".png":
            return f"{image}[{words}]({depth}img/{name})"
        return words

    text = path.read_text(encoding="utf-8")
    text = re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", link, text)
    # Wide tables take the place of the page's contents.
    return "---\nhide: [toc]\n---\n" + tables.with_commands_apart(with_contents(text))


def with_contents(text: str) -> str:
    """Return a long page with links to its sections before the first of them."""
    headings = re.findall(r"^## (.+)$", text, re.M)
    if len(headings) < 4:
        return text
    links = (f"[{heading}](#{slugify(heading, '-')})" for heading in headings)
    contents = " · ".join(links)
    return text.replace("\n## ", f"\n{contents}\n{{ .contents }}\n\n## ", 1)


def on_page_markdown(markdown: str, **_) -> str:
    """Replace the macros of a page."""
    return tables.expanded(markdown)


def on_page_content(html: str, **_) -> str:
    """Replace formulae by MathML, and show kept figures on dark pages, too."""
    html = FLAG.sub(r'<code class="flag">\1</code>', html)
    return dark.with_both(maths.with_mathml(html))


def on_post_page(output: str, page, **_) -> str:
    """Refuse a page that would load anything over the network."""
    if found := LOADED.search(output):
        raise SystemExit(f"{page.file.src_uri} loads over the network: {found[0]}")
    return output
