"""Write contrib/sbom.cdx.json (CycloneDX 1.5): what ``requirements.txt`` installs, with versions and licences.

The licences are those that the installed packages name, so this runs in the environment of ``make dev``.
"""

import json
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
SBOM = ROOT / "contrib" / "sbom.cdx.json"
_LONGEST = 60
_OSI = "License :: OSI Approved :: "


def locked() -> list[Requirement]:
    """Return what ``requirements.txt`` pins for Linux, in its order."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line.rstrip("\\ ")) for line in lines if line[:1].isalnum()]
    linux = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
    return [pin for pin in pins if pin.marker is None or pin.marker.evaluate(linux)]


def licence(name: str) -> dict[str, Any]:
    """Return the licence that an installed package names, as CycloneDX has it."""
    facts = metadata(name).json  # PEP 566: one string, or a list where there may be several
    expression = facts.get("license_expression")
    if expression:
        return {"expression": expression}
    classified = [one.removeprefix(_OSI) for one in facts.get("classifier", []) if one.startswith(_OSI)]
    text = str(facts.get("license", "")).strip()
    named = text if text and len(text) <= _LONGEST and "\n" not in text else " and ".join(classified)
    return {"license": {"name": named or "see the package"}}


def component(pin: Requirement) -> dict[str, Any]:
    """Return the entry of one package."""
    (version,) = (one.version for one in pin.specifier)
    return {
        "type": "library",
        "name": pin.name,
        "version": version,
        "purl": f"pkg:pypi/{pin.name}@{version}",
        "licenses": [licence(pin.name)],
    }


def main() -> None:
    """Write the file. A package that is not installed ends it: its licence is not known then."""
    try:
        components = [component(pin) for pin in locked()]
    except PackageNotFoundError as error:
        sys.exit(f"{error.name} is not installed: make dev")
    sbom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "akjob", "licenses": [{"expression": "MIT"}]}},
        "components": components,
    }
    SBOM.write_text(json.dumps(sbom, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
