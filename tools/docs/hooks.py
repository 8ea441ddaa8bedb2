"""What mkdocs calls to build the documentation (`hooks` in mkdocs.yml)."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tools.docs.pages import generated_pages, with_site_links


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made of the code."""
    for path, content in generated_pages().items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links that leave docs, as to the guide's chapters, to where that is on the site."""
    path = page.file.src_uri
    return markdown if page.file.generated_by else with_site_links(markdown, f"docs/{path}", path)
