"""MS-COCO (Lin et al. 2014): 123,287 photographs with five captions each, Karpathy's splits, and no classes here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xmrlib import settings
from xmrlib.data import disk, karpathy
from xmrlib.data.cards import Card
from xmrlib.data.pairs import Pairs

FILE = "dataset_coco.json"
COUNTS = {"train": 82_783, "restval": 30_504, "val": 5_000, "test": 5_000}

CARD = Card(
    name="coco",
    title="MS-COCO captions, Karpathy's splits",
    summary="Photographs of everyday scenes with 80 kinds of things in them, each described by five people in a "
    "sentence. The largest measure of image-sentence matching of its time.",
    source=f"T.-Y. Lin et al., https://cocodataset.org, the pictures of 2014; captions and splits: {karpathy.ARCHIVE}",
    licence="captions CC BY 4.0; the photographs come from Flickr, under licences of their own",
    size="123,287 photographs, about 19 GB (from memory); 616,767 captions, of which the first five of each are kept: "
    "616,435",
    split="113,287 / 5,000 / 5,000, the field 'split' of the file: train is its 82,783 'train' and 30,504 'restval'; "
    "restval=False leaves the latter out",
    views="pictures; five texts per image, captions=None for all (join them with .with_texts('joined'))",
    layout=(FILE, "train2014/*.jpg and val2014/*.jpg, or both under images/"),
    fetch=f"Unpack {FILE} of {karpathy.ARCHIVE} into $XMR_DATA/coco, and beside it "
    "http://images.cocodataset.org/zips/train2014.zip and http://images.cocodataset.org/zips/val2014.zip.",
    cite="T.-Y. Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014; splits: A. Karpathy, L. Fei-Fei, "
    "Deep Visual-semantic Alignments for Generating Image Descriptions, CVPR 2015",
    faults=(
        "Two measures go by one name. 5K is the whole test split; 1K is the mean over five folds of 1,000 images in "
        "their order, xmrlib.evaluate.recall_folds(scores, data.test.image_of_text). 1K is much the easier.",
        "Some numbers were trained without 'restval' (82,783 images) and are printed beside others that were not.",
        "Some photographs have six or seven captions: 332 captions, all after a fifth, are left out of every published "
        "number.",
        "Whether the folds of published 1K numbers follow the order of this file is not known: the precomputed "
        "features bring an order of their own.",
        "The real files were not at hand when this loader was written: no checksum stands here, and the counts are "
        "those that are generally given.",
    ),
)


def present(root: str | Path | None = None) -> bool:
    """Whether the file of captions and splits is there."""
    place = settings.data_directory() / "coco" if root is None else Path(root)
    return (place / FILE).is_file()


def load(root: str | Path | None = None, **options: Any) -> Pairs:
    """MS-COCO, in the order of its file; `options` and errors are those of `xmrlib.data.karpathy.load`."""
    place = disk.folder_of("coco", root, CARD.fetch)
    return karpathy.load(place / FILE, name="coco", card=CARD, counts=COUNTS, **options)
