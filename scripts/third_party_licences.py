"""Writes the licences of all packages that an executable contains.

    cargo metadata --format-version 1 ... | third_party_licences.py PACKAGE... >THIRD_PARTY_LICENCES.txt

PACKAGE are lines of `cargo tree --prefix none --edges normal`, such as `serde v1.0.229`. The texts are the licence files
that each package has; equal texts are written once.
"""

import json
import pathlib
import re
import sys

FILES = re.compile(r"(?i)^(licen[cs]e|copying|unlicense|notice)")
RULE = "-" * 80


def main() -> None:
    used = {tuple(line.split()[:2]) for line in sys.argv[1:] if line.strip()}
    packages = [
        package
        for package in json.load(sys.stdin)["packages"]
        if package["source"] and (package["name"], f"v{package['version']}") in used
    ]
    packages.sort(key=lambda package: (package["name"], package["version"]))
    assert packages, "no package of cargo tree is in the metadata"
    texts: dict[str, list[str]] = {}
    print("The executable contains these packages, each under the licence beside it.\n")
    for package in packages:
        name = f"{package['name']} {package['version']}"
        print(f"{name}: {package['license'] or 'see below'}")
        folder = pathlib.Path(package["manifest_path"]).parent
        for file in sorted(path for path in folder.iterdir() if path.is_file() and FILES.match(path.name)):
            text = file.read_text(encoding="utf-8", errors="replace").strip()
            texts.setdefault(text, []).append(f"{name} ({file.name})")
    for text, owners in texts.items():
        print(f"\n{RULE}\n" + "\n".join(owners) + f"\n{RULE}\n\n{text}")


if __name__ == "__main__":
    main()
