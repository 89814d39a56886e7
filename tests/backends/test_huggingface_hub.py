"""The model hub: errors that say what to do; what of it is on this machine; and sizes without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.local import hub
from clemcore.backends.local.entry import LocalEntry, read_entry
from clemcore.backends.local.fitting import fits
from clemcore.backends.local.memory import Free
from clemcore.errors import ModelLoadError
from clemcore.registry.spec import ModelSpec
from support.clem import Clem

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def spec(**fields: Any) -> ModelSpec:
    return ModelSpec(**{"model_name": "m", "backend": "huggingface_local", "huggingface_id": "org/model", **fields})


def entry(**config: Any) -> LocalEntry:
    return read_entry(spec(model_config={"premade_chat_template": True, **config}))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the hub's library with one model in it."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "hub"


def put(cache: Path, source: str, **files: bytes) -> Path:
    folder = cache / f"models--{source.replace('/', '--')}"
    snapshot = folder / "snapshots" / COMMIT
    (folder / "blobs").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    snapshot.mkdir(parents=True)
    for number, (name, content) in enumerate(files.items()):
        blob = folder / "blobs" / f"{number:064}"
        blob.write_bytes(content)
        (snapshot / name.replace("__", ".")).symlink_to(blob)
    return folder


class TestErrors:
    @pytest.mark.parametrize(
        ("kind", "config", "message"),
        [
            ("GatedRepoError", {}, "'org/model' is gated: ask for access at https://.*requires_api_key to true"),
            (
                "GatedRepoError",
                {"requires_api_key": True},
                "the hub refuses your key for the gated model 'org/model'",
            ),
            ("RevisionNotFoundError", {"revision": "v9"}, "the hub has no revision 'v9' of 'org/model'"),
            ("RepositoryNotFoundError", {}, "the hub has no model 'org/model', or it is private"),
        ],
    )
    def test_what_the_hub_refuses(self, kind: str, config: dict[str, Any], message: str) -> None:
        import httpx
        from huggingface_hub import errors

        from clemcore.backends.local.transformers.loading import loading

        answer = httpx.Response(404, request=httpx.Request("GET", "https://huggingface.co/org/model"))
        wrapper = OSError("org/model is not a local folder")  # as transformers does
        wrapper.__cause__ = getattr(errors, kind)("no", response=answer)
        with pytest.raises(ModelLoadError, match=f"model 'm': {message}"), loading(entry(**config), "weights"):
            raise wrapper

    def test_offline(self, cache: Path) -> None:
        from clemcore.backends.local.transformers.opening import frontend_of

        message = (
            r"the hub cannot be asked \(offline\), and config.json of 'org/model'{} is not in .*/hub: go online"
        )
        with pytest.raises(ModelLoadError, match=message.format("")):
            frontend_of(spec())
        with pytest.raises(ModelLoadError, match=message.format(" at revision 'v9'")):
            frontend_of(spec(model_config={"revision": "v9"}))

    def test_offline_the_shard_that_is_missing_is_named(self, cache: Path) -> None:
        shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
        index = json.dumps({"weight_map": shards})
        folder = put(cache, "org/model", model__safetensors__index__json=index.encode(), x=b"")
        (folder / "snapshots" / COMMIT / "model-00001-of-00002.safetensors").symlink_to(
            folder / "blobs" / f"{1:064}"
        )
        fault = hub.hub_fault(entry(), "weights", ConnectionError())
        assert fault is not None
        assert "and model-00002-of-00002.safetensors of 'org/model' is not in" in fault


class TestFit:
    def test_offline_by_the_parameters_of_the_entry(self, cache: Path) -> None:
        """As for most entries of the packaged registry: an estimate that says so."""
        own, eight, four = fits(spec(parameters="7B", context_size="8k"), Free(24 * 10**9, "--memory"))
        assert [fit.verdict.needs.weights for fit in (own, eight, four)] == [14 * 10**9, 7 * 10**9, 3_937_500_000]
        assert own.verdict.fits
        assert own.verdict.needs.estimated_from == (
            "'parameters': '7B' of the entry; config.json of 'org/model' would make it exact"
        )

    def test_every_packaged_entry_with_parameters(self, cache: Path) -> None:
        registry = json.loads((Path(__file__).parents[2] / "model_registry.json").read_text())
        local = [fields for fields in registry if fields["backend"] == "huggingface_local"]
        texts = [fields for fields in local if not fields["model_config"].get("multimodal")]
        known = [fields for fields in texts if fields.get("parameters")]
        assert len(known) > 140
        for fields in known:
            assert fits(ModelSpec(**fields), Free(10**12, "--memory"))[0].verdict.needs.weights > 10**8

    def test_without_parameters(self, cache: Path) -> None:
        with pytest.raises(ModelLoadError, match=r"its size is not known, because config.json of 'org/model' is"):
            fits(spec())

    def test_with_the_files(self, tiny_chat: Path, clem: Clem) -> None:
        """The command shows the bytes that the loaded tensors have."""
        from support.tiny import load

        model = load(tiny_chat).model
        tensors = {id(one): one for one in [*model.parameters(), *model.buffers()]}
        Path("model_registry.json").write_text(
            json.dumps([{"model_name": "tiny", "backend": "huggingface_local", "huggingface_id": str(tiny_chat)}])
        )
        done = clem.ok("fit", "tiny", "--memory", "24GB", "--json")
        own = json.loads(done)["fits"][0]
        assert own["weights_bytes"] == sum(one.numel() * one.element_size() for one in tensors.values())
        assert own["state_bytes_per_token"] == {"full_attention": 2 * 2 * 32 * 4}
        assert (own["fits"], own["longest_dialogue"], own["weights_estimated_from"]) == (True, 512, None)
        assert clem("fit", "tiny", "--memory", "1MB").stdout.startswith("as in the entry\tfloat32")
        rows = json.loads(clem.ok("doctor", "tiny", "--json"))["rows"]
        assert next(row for row in rows if row["name"] == "memory")["value"]["fits"]

    def test_of_a_service(self, clem: Clem) -> None:
        assert "clem fit is for models of huggingface_local" in clem.fails("fit", "mock")
        assert "--memory must be bytes" in clem.fails("fit", "mock", "--memory", "much")


class TestStored:
    def test_listed_and_removed(self, cache: Path) -> None:
        assert hub.stored() == []
        put(cache, "org/model", config__json=b"{}", model__safetensors=b"x" * 100)
        (first,) = hub.stored()
        assert (first.commit, first.refs, first.bytes) == (COMMIT, ("main",), 102)
        assert hub.remove([COMMIT], only_plan=True) == 102
        assert len(hub.stored()) == 1
        assert hub.remove([COMMIT]) == 102
        assert hub.stored() == []

    def test_the_command_asks_first(self, cache: Path, clem: Clem, monkeypatch: pytest.MonkeyPatch) -> None:
        put(cache, "org/model", config__json=b"{}", model__safetensors=b"x" * 1000)
        monkeypatch.setenv("HF_HUB_CACHE", str(cache))
        assert "org/model\t0123456789ab\tmain\t1 kB" in clem.ok("weights", "list")
        asked = clem.fails("weights", "rm", "org/model", status=2)
        assert "Remove 1 commit of org/model? That frees 1 kB. Nobody can be asked here: add --yes." in asked
        assert json.loads(clem.ok("weights", "list", "--json"))[0]["bytes"] == 1002
        clem.ok("weights", "rm", "org/model", "--yes")
        assert json.loads(clem.ok("weights", "list", "--json")) == []
        assert "is not on this machine" in clem.fails("weights", "rm", "org/model", "--yes", status=2)

    @pytest.mark.parametrize("asked", ["mine", "./folder", "folder"])
    def test_a_folder_is_not_removed(self, cache: Path, clem: Clem, tmp_path: Path, asked: str) -> None:
        folder = Path("folder").absolute()
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        entry = {"model_name": "mine", "backend": "huggingface_local", "huggingface_id": str(folder)}
        Path("model_registry.json").write_text(json.dumps([entry]))
        said = clem.fails("weights", "rm", asked, "--yes", status=2)
        assert "is a file or folder of your own, and 'clem weights rm' removes only what was downloaded" in said
        assert "delete it yourself" in said
        assert folder.is_dir()
