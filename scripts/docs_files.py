"""A hook of mkdocs: the site is made of files of the whole repository, linked as they are there.

README.md is the first page. What pages link to besides (pictures, scripts, schemas) is copied.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PAGES = {
    "README.md": "index.html",
    "AGENTS.md": "agents.html",
    "CHANGELOG.md": "changelog.html",
    "CONTRIBUTING.md": "contributing.html",
    "datasets/README.md": "datasets/index.html",
    "ftax_model/predictors/README.md": "predictors.html",
    "notebooks/README.md": "notebooks.html",
    "skills/predict-latency/SKILL.md": "skill.html",
}
"""Pages outside of docs/, and where they stand in the site."""

LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Files under their paths in the repository: those of docs/, the pages above, and what these link to."""
    root, docs = Path(config.config_file_path).parent, Path(config.docs_dir)
    places = {f"{docs.name}/{file.src_uri}": file.dest_uri for file in files if file.src_dir == config.docs_dir}
    places |= PAGES
    for name in [name for name in places if name.endswith(".md")]:
        for target in LINK.findall((root / name).read_text(encoding="utf-8")):
            path = ((root / name).parent / target).resolve()
            if path.is_file() and path.suffix != ".md" and path.is_relative_to(root):
                linked = path.relative_to(root).as_posix()
                places.setdefault(linked, f"files/{linked}")
    kept = [file for file in files if file.src_dir != config.docs_dir]
    made = (
        File(name, str(root), config.site_dir, config.use_directory_urls, dest_uri=place)
        for name, place in places.items()
    )
    return Files([*kept, *made])
