"""The images of the product and of its tests: built once per content, loaded where they changed."""

import json
import shutil
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kube import engine as engines
from kube import gotools, hostsettings, kindcluster, nodeimage, places
from kube.debian import root_tar
from kube.engine import Engine
from kube.progress import Trouble, say, stage
from kube.shell import run

_MEGABYTE = 1_000_000
_LOADED = places.STATE / "loaded.json"
_BASE_PACKAGES = ("ca-certificates", "python3")
_BUILD_PACKAGES = (*_BASE_PACKAGES, "python3-pip", "python3-dev", "gcc", "libc6-dev")
# The defaults of the Dockerfiles, for where a public registry answers.
_PUBLIC_BASE = "python:3.13-slim"
_PUBLIC_TEST_BASE = "python:3.13-slim-bookworm"


@dataclass(frozen=True)
class Image:
    """sluice/<name>:dev; `sources` are all that its Dockerfile may copy.

    A part of the product is also tagged with its version, as the chart names it by itself.
    """

    name: str
    folder: str
    sources: tuple[str, ...]
    public_base: str
    limit_megabytes: int | None = None

    @property
    def tag(self) -> str:
        return f"sluice/{self.name}:dev"

    @property
    def tags(self) -> tuple[str, ...]:
        product = "pyproject.toml" in self.sources
        return (self.tag, f"sluice/{self.name}:{version()}") if product else (self.tag,)

    @property
    def dockerfile(self) -> str:
        return f"{self.folder}/Dockerfile"


def version() -> str:
    """Of the product; the chart's appVersion is the same."""
    project = tomllib.loads((places.REPOSITORY / "pyproject.toml").read_text())["project"]
    return str(project["version"])


_DISTRIBUTION = ("pyproject.toml", "README.md", "LICENSE")
IMAGES = (
    Image("proxy", "proxy", (*_DISTRIBUTION, "proxy"), _PUBLIC_BASE, limit_megabytes=60),
    Image("activator", "proxy/activator", (*_DISTRIBUTION, "proxy"), _PUBLIC_BASE,
          limit_megabytes=60),
    Image("operator", "operator", (*_DISTRIBUTION, "operator", "proxy"), _PUBLIC_BASE),
    Image("postgres", "tests/cluster/images/postgres", ("tests/cluster/images/postgres",),
          _PUBLIC_TEST_BASE),
    Image("clients", "tests/clients", ("tests/clients",), _PUBLIC_TEST_BASE),
)  # fmt: skip


@dataclass(frozen=True)
class Bases:
    """The images that the final and the build stages start from."""

    base: str
    build: str


def build_and_load(names: Sequence[str] = ()) -> None:
    """Builds what changed of the images (of all, unless names are given); loads it if there is
    a cluster."""
    unknown = set(names) - {image.name for image in IMAGES}
    if unknown:
        raise Trouble(f"no such image: {', '.join(sorted(unknown))}")
    engine = engines.needed()
    for image in IMAGES:
        if (not names or image.name in names) and (places.REPOSITORY / image.dockerfile).exists():
            _build_and_load(engine, image)


def _build_and_load(engine: Engine, image: Image) -> None:
    archive = _archive(engine, image)
    above = _note(archive)
    if not (archive.exists() and above.exists()):
        with stage(f"image {image.tag}: build"):
            _obtain(engine, image, archive)
    _check_size(image, float(above.read_text()))
    if kindcluster.healthy():
        _load(engine, image, archive)


def _archive(engine: Engine, image: Image) -> Path:
    """Where the image of the present sources is, or will be, as the archive that nodes import."""
    sources = (places.REPOSITORY / path for path in image.sources)
    key = places.content_key(_base_key(engine, image), *image.tags, *sources)
    return places.CACHE / "images" / f"{image.name}-{key}.tar"


def _note(archive: Path) -> Path:
    """Beside the archive: how many megabytes the image is above its base."""
    return archive.with_suffix(".megabytes")


def _obtain(engine: Engine, image: Image, archive: Path) -> None:
    bases = _bases(engine, image)
    _build(engine, image, bases)
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_suffix(".partial")
    engine.docker("save", "--output", partial, *image.tags)
    above = (_size(engine, image.tag) - _size(engine, bases.base)) / _MEGABYTE
    _note(archive).write_text(str(above))
    partial.replace(archive)
    for kind in ("tar", "megabytes"):
        places.keep_newest(archive.parent, f"{image.name}-*.{kind}")


def _build(engine: Engine, image: Image, bases: Bases) -> None:
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder) / "context"
        for path in image.sources:
            _copy(places.REPOSITORY / path, context / path)
        secrets = hostsettings.secrets(Path(folder))
        engine.docker(
            "build",
            "--network=host",
            f"--build-arg=BASE_IMAGE={bases.base}",
            f"--build-arg=BUILD_IMAGE={bases.build}",
            *(f"--secret=id={name},src={path}" for name, path in secrets.items()),
            *(f"--tag={tag}" for tag in image.tags),
            *("--file", context / image.dockerfile, context),
        )


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        unwanted = shutil.ignore_patterns("__pycache__", "node_modules")
        shutil.copytree(source, target, ignore=unwanted, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


def _bases(engine: Engine, image: Image) -> Bases:
    if nodeimage.registry_answers(engine):
        if not engine.has_image(image.public_base):
            with stage(f"pull {image.public_base}"):
                engine.docker("pull", "--quiet", image.public_base)
        return Bases(image.public_base, image.public_base)
    base, build = _root_tars()
    return Bases(_imported(engine, "base", base), _imported(engine, "build", build))


def _base_key(engine: Engine, image: Image) -> str:
    if nodeimage.registry_answers(engine):
        return image.public_base
    return " ".join(tar.name for tar in _root_tars())


def _root_tars() -> tuple[Path, Path]:
    return root_tar("base", _BASE_PACKAGES), root_tar("build", _BUILD_PACKAGES)


def _imported(engine: Engine, name: str, tar: Path) -> str:
    image = f"{nodeimage.REGISTRY}/{name}:{tar.stem.rpartition('-')[2]}"
    if not engine.has_image(image):
        with stage(f"base image {image}: import"):
            engine.docker("import", tar, image)
    return image


def _check_size(image: Image, above: float) -> None:
    say(f"image {image.tag}: {above:.1f} MB above its base")
    if image.limit_megabytes is not None and above > image.limit_megabytes:
        raise Trouble(f"{image.tag} may be {image.limit_megabytes} MB above its base at most")


def _size(engine: Engine, tag: str) -> int:
    return int(engine.docker("image", "inspect", "--format={{.Size}}", tag))


def _load(engine: Engine, image: Image, archive: Path) -> None:
    """Into the node's containerd; what it already has is noted beside the kubeconfig."""
    loaded = json.loads(_LOADED.read_text()) if _LOADED.exists() else {}
    if loaded.get(image.tag) == archive.name:
        return
    with stage(f"image {image.tag}: load into the cluster"):
        load = (gotools.program("kind"), "load", "image-archive", archive)
        run(*load, "--name", places.CLUSTER, env=engine.env)
    _LOADED.write_text(json.dumps({**loaded, image.tag: archive.name}))
