"""Flickr30K (Young et al. 2014): 31,014 photographs with five captions each, Karpathy's splits, and no classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xmrlib import settings
from xmrlib.data import disk, karpathy
from xmrlib.data.cards import Card
from xmrlib.data.pairs import Pairs

FILE = "dataset_flickr30k.json"
COUNTS = {"train": 29_000, "val": 1_014, "test": 1_000}

CARD = Card(
    name="flickr30k",
    title="Flickr30K, Karpathy's splits",
    summary="Photographs of people and animals doing something, each described by five people in a sentence. With "
    "MS-COCO the measure of image-sentence matching.",
    source="P. Young et al., University of Illinois; photographs by the form at "
    f"https://shannon.cs.illinois.edu/DenotationGraph/; captions and splits: {karpathy.ARCHIVE}",
    licence="research and education, not for sale; the photographs belong to their takers",
    size="31,014 photographs and 155,070 captions; the authors' archive has 31,783 photographs, about 4.4 GB (from "
    "memory)",
    split="29,000 / 1,014 / 1,000, the field 'split' of the file",
    views="pictures; five texts per image (join them with .with_texts('joined'))",
    layout=(FILE, " or ".join(f"{folder}/*.jpg" for folder in ("flickr30k-images", "flickr30k_images", "images"))),
    fetch=f"Unpack {FILE} of {karpathy.ARCHIVE} into $XMR_DATA/flickr30k, and the photographs, which are given out by "
    "the form at https://shannon.cs.illinois.edu/DenotationGraph/, into $XMR_DATA/flickr30k/flickr30k-images.",
    cite="P. Young, A. Lai, M. Hodosh, J. Hockenmaier, From Image Descriptions to Visual Denotations, TACL 2, 2014; "
    "splits: A. Karpathy, L. Fei-Fei, Deep Visual-semantic Alignments for Generating Image Descriptions, CVPR 2015",
    faults=(
        "Papers write 29,783 / 1,000 / 1,000 as well: all other photographs of the archive in train. The file has "
        "29,000 and 1,014. Say which one was trained on.",
        "Captions of one photograph are often near copies of each other, and other photographs fit them too: "
        "Recall@K counts one right answer where there are several.",
        "The real files were not at hand when this loader was written: no checksum stands here, and the counts are "
        "those that are generally given.",
    ),
)


def present(root: str | Path | None = None) -> bool:
    """Whether the file of captions and splits is there."""
    place = settings.data_directory() / "flickr30k" if root is None else Path(root)
    return (place / FILE).is_file()


def load(root: str | Path | None = None, **options: Any) -> Pairs:
    """Flickr30K, in the order of its file; `options` and errors are those of `xmrlib.data.karpathy.load`."""
    place = disk.folder_of("flickr30k", root, CARD.fetch)
    return karpathy.load(place / FILE, name="flickr30k", card=CARD, counts=COUNTS, **options)
