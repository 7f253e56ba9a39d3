"""The Hub's client with our manners: a failure is one line that says what to do, and nothing is committed twice."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from listops_bench._base.text import one_line
from listops_bench.errors import InvalidInput

if TYPE_CHECKING:
    from huggingface_hub import HfApi

RepoType = Literal["model", "dataset"]
Files = Mapping[str, Path | bytes]
"""Paths in the repository, and the file or the content that goes there."""


@dataclass(frozen=True)
class Pushed:
    """What an upload came to.

    Attributes:
        url: of the repository, or of the pull request.
        commit: the commit that now holds the files.
        changed: False where all of them were there already, and no commit was made.
    """

    url: str
    commit: str
    changed: bool


def check_repo_id(repo_id: str) -> str:
    """Returns an ``ORG/NAME`` that the Hub takes.

    Raises:
        InvalidInput: it is none.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise InvalidInput(f"{repo_id!r} is no repository id of the form ORG/NAME: {one_line(error)}") from None
    if repo_id.count("/") != 1:
        raise InvalidInput(f"{repo_id!r} is no repository id of the form ORG/NAME")
    return repo_id


def check_branch(revision: str | None, *, create_pr: bool) -> None:
    """What `upload` takes as a branch.

    Raises:
        InvalidInput: a branch together with a pull request, which is one of its own.
    """
    if create_pr and revision is not None:
        raise InvalidInput("a pull request is a branch of its own: give either --revision or --create-pr")


def upload(
    repo_type: RepoType,
    repo_id: str,
    files: Files,
    message: str,
    *,
    description: str = "",
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
) -> Pushed:
    """Uploads files in one commit, or in none where all of them are there already.

    Large files that have arrived stay on the Hub: an upload that broke off goes on with the rest.

    Args:
        private: for a repository that this makes.
        revision: a branch, made where there is none.
        create_pr: open a pull request; the repository must be there.

    Raises:
        InvalidInput: no token, no permission, no network, no such repository, or a name that the Hub does not take.
    """
    from huggingface_hub import CommitOperationAdd

    check_branch(revision, create_pr=create_pr)
    check_repo_id(repo_id)
    with clear_errors(repo_id, write=True):
        api = client(write=True)
        if not create_pr:
            api.create_repo(repo_id, repo_type=repo_type, private=private or None, exist_ok=True)
            if revision is not None:
                api.create_branch(repo_id, repo_type=repo_type, branch=revision, exist_ok=True)
        before = api.repo_info(repo_id, repo_type=repo_type, revision=revision)
        if private and not before.private:
            raise InvalidInput(f"repository {repo_id!r} is there already, and public")
        done = api.create_commit(
            repo_id,
            [CommitOperationAdd(path, str(file) if isinstance(file, Path) else file) for path, file in files.items()],
            commit_message=message,
            commit_description=description,
            repo_type=repo_type,
            revision=revision,
            create_pr=create_pr,
        )
    url = f"{api.endpoint}/{'datasets/' if repo_type == 'dataset' else ''}{repo_id}"
    return Pushed(done.pr_url or url, done.oid, done.oid != before.sha)


def open_pull_request(repo_id: str, title: str) -> str | None:
    """The address of the open pull request of that title to a dataset, if there is one."""
    with clear_errors(repo_id):
        api = client()
        for found in api.get_repo_discussions(repo_id, repo_type="dataset", discussion_status="open"):
            if found.is_pull_request and found.title == title:
                return f"{api.endpoint}/datasets/{repo_id}/discussions/{found.num}"
    return None


def client(*, write: bool = False) -> HfApi:
    """The client.

    Raises:
        InvalidInput: it is to write, and there is no token.
    """
    from huggingface_hub import HfApi, get_token

    # It would warn that nothing has changed; we say that ourselves.
    logging.getLogger("huggingface_hub.hf_api").setLevel(logging.ERROR)
    if write and get_token() is None:
        raise InvalidInput("no Hub token: run `hf auth login`, or set HF_TOKEN to one that may write")
    return HfApi()


@contextmanager
def clear_errors(repo_id: str, *, write: bool = False) -> Iterator[None]:
    """Turns what the client raises into one line that names the repository and says what to do."""
    from huggingface_hub import errors

    try:
        yield
    except InvalidInput:
        raise
    except errors.OfflineModeIsEnabled:
        raise InvalidInput(f"the Hub cannot be asked for {repo_id!r}: HF_HUB_OFFLINE is set") from None
    except errors.RevisionNotFoundError:
        raise InvalidInput(f"{repo_id!r} has no such revision on the Hub") from None
    except errors.HfHubHTTPError as error:
        raise InvalidInput(_refusal(repo_id, error, write)) from None
    except (errors.HFValidationError, ValueError) as error:
        raise InvalidInput(f"{repo_id!r}: {one_line(error)}") from None
    except RuntimeError as error:  # an upload that failed: the reason is what it was raised from
        raise InvalidInput(_broken_off(repo_id, error.__cause__ or error)) from None
    except Exception as error:
        if not _is_network_error(error):
            raise
        raise InvalidInput(_broken_off(repo_id, error)) from None


def _is_network_error(error: BaseException) -> bool:
    # The client's HTTP library has changed its name between releases; its errors are no OSErrors.
    return isinstance(error, ConnectionError) or type(error).__module__.partition(".")[0] in {"httpx", "httpx2"}


def _broken_off(repo_id: str, error: BaseException) -> str:
    host = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    return f"the connection to {host} for {repo_id!r} failed ({one_line(error)}); run the same command again to go on"


def _refusal(repo_id: str, error: Exception, write: bool) -> str:
    from huggingface_hub.errors import RepositoryNotFoundError

    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if status == 403:
        return f"the token may not {'write to' if write else 'read'} {repo_id!r}; ask its owner, or use another token"
    if isinstance(error, RepositoryNotFoundError):
        return f"there is no repository {repo_id!r} on the Hub, or the token may not see it"
    if status == 401:
        return "the Hub does not know the token: run `hf auth login`, or set HF_TOKEN to one that may write"
    return f"the Hub refused {repo_id!r} ({status}): {one_line(error)}"
