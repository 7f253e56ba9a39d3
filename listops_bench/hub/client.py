"""The Hub's client with our manners: a failure is one line that says what to do, and nothing is committed twice."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from listops_bench._base.text import one_line
from listops_bench.errors import EnvironmentFailed, InvalidInput
from listops_bench.hub._kept import keep_additions
from listops_bench.model.checkpoint import CARD
from listops_bench.model.origin import check_repo_id

if TYPE_CHECKING:
    from huggingface_hub import DatasetInfo, HfApi, ModelInfo, SpaceInfo


@dataclass(frozen=True)
class Publication:
    """What is to be uploaded in one commit.

    Attributes:
        message: of the commit, and the title of a pull request.
        files: the file or the content for each path in the repository.
        description: a longer text below the message.
        absent: paths that must not be there: of the branch that another one begins with.
    """

    repo_type: Literal["model", "dataset"]
    repo_id: str
    message: str
    files: Mapping[str, Path | bytes]
    description: str = ""
    absent: tuple[str, ...] = ()


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


def push(
    publication: Publication, *, private: bool = False, revision: str | None = None, create_pr: bool = False
) -> Pushed:
    """Uploads files in one commit, or in none where all of them are there already.

    What somebody has added to the card that is there stays (`keep_additions`).

    Large files that have arrived stay on the Hub: an upload that broke off goes on with the rest.

    Args:
        publication: what `prepare_model` or `prepare_dataset` made.
        private: make a repository that only its owner sees.
        revision: a branch, made where there is none.
        create_pr: open a pull request instead, unless one with these files and this title is open; the repository must
            be there.

    Raises:
        InvalidInput: no such repository, a public one where a private one was asked for, a name that the Hub does not
            take, or a branch for a pull request, which is one of its own.
        EnvironmentFailed: no token, no permission, or no network.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    repo_type, repo_id = publication.repo_type, publication.repo_id

    if create_pr and revision is not None:
        raise InvalidInput("a pull request is a branch of its own: give either revision or create_pr")
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
        publication = _with_additions(api, publication, before)
        for url, branch in _open_pull_requests(api, publication) if create_pr else ():
            if _holds(api, publication, branch):
                head = api.repo_info(repo_id, repo_type=repo_type, revision=branch)
                return Pushed(url, head.sha, changed=False)
        stale = {file.rfilename for file in before.siblings or ()} & set(publication.absent)
        done = api.create_commit(
            repo_id,
            [
                *(
                    CommitOperationAdd(path, f if isinstance(f, bytes) else str(f))
                    for path, f in publication.files.items()
                ),
                *map(CommitOperationDelete, sorted(stale)),
            ],
            commit_message=publication.message,
            commit_description=publication.description,
            repo_type=repo_type,
            revision=revision,
            create_pr=create_pr,
        )
    return Pushed(done.pr_url or _address(api, publication), done.oid, done.oid != before.sha)


def _with_additions(api: HfApi, publication: Publication, before: ModelInfo | DatasetInfo | SpaceInfo) -> Publication:
    card, repo_type, repo_id = publication.files.get(CARD), publication.repo_type, publication.repo_id
    if card is None:
        return publication
    there = None
    if any(file.rfilename == CARD for file in before.siblings or ()):
        path = api.hf_hub_download(repo_id, CARD, repo_type=repo_type, revision=before.sha)
        try:
            there = Path(path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise InvalidInput(f"the {CARD} that {repo_id!r} has is no text; replace or delete it there") from None
    text = (card if isinstance(card, bytes) else card.read_bytes()).decode()
    return replace(publication, files={**publication.files, CARD: keep_additions(text, there, repo_id).encode()})


def add_to_collection(publication: Publication, title: str, *, private: bool = False) -> str:
    """Puts a repository into the collection of that title, and returns its address; twice is once.

    Args:
        publication: of which repository.
        title: of a collection of the repository's owner, made where there is none.
        private: make one that only its owner sees.

    Raises:
        As `push`.
    """
    with clear_errors(publication.repo_id, write=True):
        api = client(write=True)
        owner = publication.repo_id.partition("/")[0]
        collection = api.create_collection(title, namespace=owner, private=private, exists_ok=True)
        api.add_collection_item(collection.slug, publication.repo_id, publication.repo_type, exists_ok=True)
    return collection.url


def check_access(repo_id: str, *, dataset: bool = False, must_exist: bool = False) -> None:
    """Finds, before any work, what would stop an upload in the end: no token, no network, or no such repository.

    Raises:
        As `push`.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    check_repo_id(repo_id)
    with clear_errors(repo_id, write=True):
        api = client(write=True)
        try:
            api.repo_info(repo_id, repo_type="dataset" if dataset else "model")
        except RepositoryNotFoundError:  # it will be made
            if must_exist:
                raise


def open_pull_request(publication: Publication) -> str | None:
    """The address of the open pull request of its title, if there is one."""
    with clear_errors(publication.repo_id):
        return next((url for url, _ in _open_pull_requests(client(), publication)), None)


def _open_pull_requests(api: HfApi, publication: Publication) -> Iterator[tuple[str, str]]:
    """Address and branch of those of the title."""
    repo_type, repo_id = publication.repo_type, publication.repo_id
    for found in api.get_repo_discussions(repo_id, repo_type=repo_type, discussion_status="open"):
        if found.is_pull_request and found.title == publication.message:
            yield f"{_address(api, publication)}/discussions/{found.num}", f"refs/pr/{found.num}"


def _holds(api: HfApi, publication: Publication, branch: str) -> bool:
    """Whether a branch has these files already, to the byte."""
    from huggingface_hub.utils.sha import git_hash

    def same(path: str, file: Path | bytes) -> bool:
        found, content = there.get(path), file if isinstance(file, bytes) else file.read_bytes()
        if found is None or found.lfs is None:
            return found is not None and found.blob_id == git_hash(content)
        return found.lfs.sha256 == hashlib.sha256(content).hexdigest()

    tree = api.list_repo_tree(publication.repo_id, recursive=True, revision=branch, repo_type=publication.repo_type)
    there = {entry.path: entry for entry in tree if hasattr(entry, "lfs")}  # folders have none
    return all(same(path, file) for path, file in publication.files.items())


def _address(api: HfApi, publication: Publication) -> str:
    return f"{api.endpoint}/{'datasets/' if publication.repo_type == 'dataset' else ''}{publication.repo_id}"


def client(*, write: bool = False) -> HfApi:
    """The client.

    Raises:
        EnvironmentFailed: it is to write, and there is no token.
    """
    from huggingface_hub import HfApi, get_token

    # It would warn that nothing has changed; we say that ourselves.
    logging.getLogger("huggingface_hub.hf_api").setLevel(logging.ERROR)
    if write and get_token() is None:
        raise EnvironmentFailed("no Hub token: run `hf auth login`, or set HF_TOKEN to one that may write")
    return HfApi()


@contextmanager
def clear_errors(repo_id: str, *, write: bool = False) -> Iterator[None]:
    """Turns what the client raises into one line that names the repository and says what to do."""
    try:
        yield
    except (InvalidInput, EnvironmentFailed):
        raise
    except Exception as error:
        for applies, kind, text in _meanings(repo_id, error, write):
            if applies:
                raise kind(text) from None
        raise


def _meanings(
    repo_id: str, error: Exception, write: bool
) -> list[tuple[bool, type[InvalidInput | EnvironmentFailed], str]]:
    """What the client's error means, of which the first that applies: (whether it does, our error, its line)."""
    from huggingface_hub import constants, errors

    host = constants.ENDPOINT
    status = getattr(getattr(error, "response", None), "status_code", None)
    # The client's HTTP library has changed its name between releases; its errors are no OSErrors.
    library = type(error).__module__.partition(".")[0]
    is_network_error = isinstance(error, ConnectionError) or library in {"httpx", "httpx2"}
    reason = error.__cause__ or error if isinstance(error, RuntimeError) else error  # of an upload that failed
    return [
        (isinstance(error, errors.OfflineModeIsEnabled), EnvironmentFailed,
         f"the Hub cannot be asked for {repo_id!r}: HF_HUB_OFFLINE is set"),
        (isinstance(error, errors.RevisionNotFoundError), InvalidInput, f"{repo_id!r} has no such revision on the Hub"),
        (status == 403, EnvironmentFailed,
         f"the token may not {'write to' if write else 'read'} {repo_id!r}; ask its owner, or use another token"),
        (isinstance(error, errors.RepositoryNotFoundError), InvalidInput,
         f"there is no repository {repo_id!r} on the Hub, or the token may not see it"),
        (status == 401, EnvironmentFailed,
         "the Hub does not know the token: run `hf auth login`, or set HF_TOKEN to one that may write"),
        (isinstance(error, errors.HfHubHTTPError), EnvironmentFailed,
         f"the Hub refused {repo_id!r} ({status}): {one_line(error)}"),
        (isinstance(error.__cause__, errors.BadRequestError), InvalidInput, f"{repo_id!r}: {one_line(error)}"),
        (isinstance(error, (ValueError, LookupError, TypeError, AttributeError)), EnvironmentFailed,
         f"{host} answers for {repo_id!r} with what is not a Hub's answer ({one_line(error, with_type=True)})"),
        (isinstance(error, RuntimeError) or is_network_error, EnvironmentFailed,
         f"the connection to {host} for {repo_id!r} failed ({one_line(reason)}); run the same command again to go on"),
    ]  # fmt: skip
