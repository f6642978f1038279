"""An environment with a wheel and what it depends on, and nothing else: built from what is installed here."""

from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def required_by(requirements: list[str], extras: frozenset[str] = frozenset()) -> dict[str, Distribution]:
    """All distributions that these requirements bring, by their names."""
    found: dict[str, Distribution] = {}
    _collect([Requirement(each) for each in requirements], extras, found)
    return found


def _collect(requirements: list[Requirement], extras: frozenset[str], found: dict[str, Distribution]) -> None:
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        wanted = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in (extras or {""})
        )
        if wanted and name not in found:
            found[name] = distribution(name)
            needs = [Requirement(each) for each in found[name].requires or []]
            _collect(needs, frozenset(requirement.extras), found)


def link_into(site_packages: Path, distributions: dict[str, Distribution]) -> None:
    """Link what the distributions have installed, without that of any other."""
    for each in distributions.values():
        root = Path(str(each.locate_file("")))
        for name in set(_top_levels(each)):
            if not (site_packages / name).exists():
                (site_packages / name).symlink_to(root / name)


def _top_levels(each: Distribution) -> Iterator[str]:
    for file in each.files or []:
        if file.parts[0] not in ("..", "__pycache__"):
            yield file.parts[0]
