"""Uploads an export to the hub, through its own client."""

from __future__ import annotations

import re
from pathlib import Path

from tessy.errors import ConfigError, TessyError

__all__ = ["check_repo", "push"]

_REPO = re.compile(r"[\w.\-]+/[\w.\-]+")


def check_repo(repo: str) -> None:
    """Refuse what is no ``ORG/NAME``, before anything is written.

    Raises:
        ConfigError: it is none, or the hub's client is not installed.
    """
    if not _REPO.fullmatch(repo):
        raise ConfigError(f"--push {repo!r}: write ORG/NAME, as the hub shows it")
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise ConfigError("--push needs the hub's client: pip install 'tessy-llm[data]'") from error


def push(folder: Path, repo: str, *, public: bool) -> str:
    """Make the data set if it is not there, and upload all files as one commit; its address.

    The token is the hub client's own (``HF_TOKEN`` or its login); a new data set is private unless
    ``public``.

    Raises:
        TessyError: the hub refused or could not be reached; the export stays where it is.
    """
    from huggingface_hub import HfApi, get_token

    api = HfApi()
    try:
        api.create_repo(repo, repo_type="dataset", private=not public, exist_ok=True)
        api.upload_folder(
            repo_id=repo, repo_type="dataset", folder_path=folder, commit_message="Exported with tessy"
        )
    except Exception as error:  # the client's own, of many kinds
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        why = why.replace(get_token() or "\0", "***")  # some quote it
        raise TessyError(f"--push {repo}: {why}; the export is complete in {folder}") from error
    return f"{api.endpoint}/datasets/{repo}"
