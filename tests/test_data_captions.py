"""Captioned photographs in the files of Karpathy, and features in the folders of VSE++ and SCAN, made up and small."""

from __future__ import annotations

import errno
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import xmrlib
import xmrlib.data
from xmrlib import cli
from xmrlib.data import coco, disk, flickr30k, karpathy, mapped, precomputed
from xmrlib.data.mapped import Mapped
from xmrlib.data.pairs import SPLITS, DataError, Pairs
from xmrlib.features import view

NEW = ("flickr30k", "coco", "precomputed")


def count(data: Pairs) -> list[int]:
    return [int((data.split == part).sum()) for part in SPLITS]


def photograph(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 12), (level, 0, 0)).save(path)


def image(row: int, split: str, name: str, sentences: int = 5, **more: object) -> dict:
    """An entry as Karpathy writes it."""
    numbers = [5 * row + k for k in range(sentences)]
    said = [
        {
            "tokens": ["a", "dog", str(row), "line", str(k)],
            "raw": f"A  dog {row}, line {k}.\n",
            "imgid": row,
            "sentid": n,
        }
        for k, n in enumerate(numbers)
    ]
    return {"sentids": numbers, "imgid": row, "sentences": said, "split": split, "filename": name} | more


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def damaged(path: Path, row: int, **changes: object) -> Path:
    """The file again with changes to one image; None takes a field away."""
    content = json.loads(path.read_text())
    for key, value in changes.items():
        content["images"][row].pop(key)
        if value is not None:
            content["images"][row][key] = value
    return write(path.with_name(f"damaged-{path.name}"), content)


# Karpathy's files -----------------------------------------------------------------------------------------------------


@pytest.fixture
def flickr(tmp_path: Path) -> Path:
    """`dataset_flickr30k.json` of ten images, splits mixed as in the real file, and the photographs."""
    splits = ["train", "train", "val", "train", "test", "train", "test", "train", "val", "train"]
    images = [image(row, split, f"{1000 + row}.jpg") for row, split in enumerate(splits)]
    for row, entry in enumerate(images):
        photograph(tmp_path / "flickr30k-images" / entry["filename"], 20 * row)
    write(tmp_path / flickr30k.FILE, {"images": images, "dataset": "flickr30k"})
    return tmp_path


@pytest.fixture
def common(tmp_path: Path) -> Path:
    """`dataset_coco.json` of eight images in two folders, one with six captions and one with seven."""
    splits = ["test", "restval", "val", "train", "train", "restval", "test", "train"]
    images = []
    for row, split in enumerate(splits):
        year = "train2014" if split == "train" else "val2014"
        name = f"COCO_{year}_{row:012d}.jpg"
        sentences = {1: 6, 4: 7}.get(row, 5)
        images.append(image(row, split, name, sentences, filepath=year, cocoid=row))
        photograph(tmp_path / year / name, 30 * row)
    write(tmp_path / coco.FILE, {"images": images, "dataset": "coco"})
    return tmp_path


def test_flickr30k(flickr: Path) -> None:
    data = flickr30k.load(flickr, verify=False)
    assert repr(data) == "flickr30k: 10 images, 50 texts, no classes (train 6, val 2, test 2)"
    assert data.images.ids[:2] == ("1000.jpg", "1001.jpg") and data.card is flickr30k.CARD
    assert data.texts[7] == "A dog 1, line 2." and data.texts.ids[7] == "1001.jpg#2"
    assert data.image_of_text.tolist() == [row for row in range(10) for _ in range(5)] and data.labels is None
    assert data.test.images.ids == ("1004.jpg", "1006.jpg")
    assert data.test.images[1].size == (16, 12) and data.test.images[1].getpixel((3, 3))[0] in range(112, 129)
    assert len(data.val.with_texts("joined").texts.fragments[0]) == 5
    assert flickr30k.load(flickr, words="tokens", verify=False).texts[7] == "a dog 1 line 2"
    assert len(flickr30k.load(flickr, captions=2, verify=False).texts) == 20
    bare = flickr30k.load(flickr, pictures=False, verify=False)
    assert list(bare.texts) == list(data.texts) and bare.images.key is None
    with pytest.raises(DataError, match="no picture"):
        bare.images[0]


def test_coco_restval_and_captions_after_the_fifth(common: Path) -> None:
    data = coco.load(common, verify=False)
    assert repr(data) == "coco: 8 images, 40 texts, no classes (train 5, val 1, test 2)"
    assert data.images.ids[1] == "COCO_val2014_000000000001.jpg" and data.split[1] == "train"
    assert data.images[7].getpixel((3, 3))[0] in range(202, 219)
    whole = coco.load(common, captions=None, verify=False)
    assert len(whole.texts) == 43 and np.bincount(whole.image_of_text).tolist() == [5, 6, 5, 5, 7, 5, 5, 5]
    without = coco.load(common, restval=False, verify=False)
    assert count(without) == [3, 1, 2] and without.images[5].getpixel((3, 3))[0] in range(202, 219)
    (common / "images").mkdir()
    for year in ("train2014", "val2014"):
        (common / year).rename(common / "images" / year)
    assert coco.load(common, verify=False).images[7].size == (16, 12)


def test_five_folds_follow_the_order_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "x.json", {"images": [image(row, "test", f"{row}.jpg") for row in range(10)]})
    test = karpathy.load(path, pictures=False).test
    scores = torch.zeros(10, 50)
    scores[test.image_of_text, torch.arange(50)] = 1
    # Image 3 has a rival for its texts in the fifth fold only: among two at a time it wins, among ten it does not.
    scores[9, 15:20] = 2
    assert xmrlib.evaluate.recall_folds(scores, test.image_of_text, folds=5).t2i[1] == 1
    assert xmrlib.evaluate.recall(scores, test.image_of_text).t2i[1] == 0.9


def test_by_name_and_by_path(flickr: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch, capsys) -> None:
    monkeypatch.setenv("XMR_DATA", str(flickr.parent))
    target = flickr.parent / "flickr30k"
    target.symlink_to(flickr)
    try:
        assert len(xmrlib.data.load("flickr30k", verify=False)) == 10
        assert next(entry for entry in xmrlib.data.listing() if entry["name"] == "flickr30k")["ready"]
        assert cli.main(["data", "check", "flickr30k", "--data-option", "verify=false", "captions=3", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["texts"], found["split"], found["classes"]) == (30, {"train": 6, "val": 2, "test": 2}, None)
        assert cli.main(["data", "check", "flickr30k"]) == 2
        assert "names 6 images in 'train', not 29,000" in capsys.readouterr().err
        assert cli.main(["data", "fetch", "flickr30k"]) == 2
        assert "cannot be fetched by a program. Unpack" in capsys.readouterr().err
    finally:
        target.unlink()
    # The same reader takes any file of this form: Flickr8k's, or one's own.
    own = tmp_path_factory.mktemp("own")
    path = write(own / "dataset_flickr8k.json", {"images": [image(0, "train", "a.jpg")], "dataset": "flickr8k"})
    photograph(own / "Flicker8k_Dataset" / "a.jpg", 90)
    data = xmrlib.data.load(path)
    assert data.name == "flickr8k" and data.images[0].size == (16, 12) and "dataset_flickr8k.json" in str(data.card)
    path = write(own / "mine.json", {"images": [image(0, "train", "sub/a.jpg")]})
    photograph(own / "sub" / "a.jpg", 90)
    assert xmrlib.data.load(str(path)).name == "mine"


def test_pictures_that_are_not_there(flickr: Path) -> None:
    folder = flickr / "flickr30k-images"
    (folder / "1006.jpg").unlink()
    (folder / "1008.jpg").unlink()
    with pytest.raises(DataError, match=r"1006.jpg is missing, and 1 more of 10 .*folder=.*complete=False.*pictures="):
        flickr30k.load(flickr, verify=False)
    data = flickr30k.load(flickr, complete=False, verify=False)
    assert count(data) == [6, 1, 1] and len(data.texts) == 40 and data.images[-1].getpixel((3, 3))[0] > 170
    folder.rename(flickr / "elsewhere")
    with pytest.raises(DataError, match="1000.jpg is missing, and 9 more of 10"):
        flickr30k.load(flickr, verify=False)
    with pytest.raises(DataError, match="holds none of the 10 pictures"):
        flickr30k.load(flickr, complete=False, verify=False)
    assert len(flickr30k.load(flickr, folder=flickr / "elsewhere", complete=False, verify=False)) == 8
    with pytest.raises(DataError, match="folder='.*nowhere' is no folder"):
        flickr30k.load(flickr, folder=flickr / "nowhere", verify=False)


def test_every_picture_is_looked_into_once(flickr: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = flickr / flickr30k.FILE
    broken = flickr / "flickr30k-images" / "1003.jpg"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:200])
    for _ in range(2):
        with pytest.raises(DataError, match="1003.jpg cannot be read as a picture"):
            karpathy.load(path)
    assert len(karpathy.load(path, verify=False)) == 10
    broken.write_bytes(whole)
    looks = []
    monkeypatch.setattr(karpathy.disk, "verify", lambda paths: looks.append(len(paths)))
    first, second = karpathy.load(path), karpathy.load(path)
    assert looks == [10] and first.images.key == second.images.key
    photograph(broken, 250)
    assert karpathy.load(path).images.key != first.images.key and looks == [10, 10]


def test_counts_of_the_official_file(flickr: Path, common: Path) -> None:
    with pytest.raises(DataError, match="names 6 images in 'train', not 29,000: short or altered.*verify=False"):
        flickr30k.load(flickr)
    with pytest.raises(DataError, match="names 3 images in 'train', not 82,783"):
        coco.load(common)
    exact = {"train": 3, "restval": 2, "val": 1, "test": 2}
    assert len(karpathy.load(common / coco.FILE, counts=exact)) == 8


def test_files_that_are_none(flickr: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="dataset_coco.json is missing. Unpack dataset_coco.json"):
        coco.load(flickr)
    (tmp_path / coco.FILE).write_text((tmp_path / flickr30k.FILE).read_text())
    with pytest.raises(DataError, match="is the file of 'flickr30k', not of 'coco'"):
        coco.load(tmp_path)
    short = tmp_path / "short.json"
    short.write_text((tmp_path / flickr30k.FILE).read_text()[:500])
    with pytest.raises(DataError, match="short.json is no JSON: .* short or altered"):
        karpathy.load(short)
    short.write_text("")
    with pytest.raises(DataError, match="short.json is empty"):
        karpathy.load(short)
    for content in ([], {"annotations": []}, {"images": []}, {"images": {}}):
        with pytest.raises(DataError, match="has no list 'images'"):
            karpathy.load(write(short, content))
    with pytest.raises(DataError, match="names no image outside 'restval'"):
        karpathy.load(write(short, {"images": [image(0, "restval", "a.jpg")]}), restval=False)


def test_faults_of_an_image(flickr: Path) -> None:
    path = flickr / flickr30k.FILE
    options = {"pictures": False}
    said = json.loads(path.read_text())["images"][2]["sentences"]
    wordless = [{key: value for key, value in sentence.items() if key != "raw"} for sentence in said]
    for changes, message in (
        ({"split": "dev"}, r"images\[2\] \(1002.jpg\) is in the split 'dev': there are train, val, test and restval"),
        ({"split": ["val"]}, r"is in the split \['val'\]"),
        ({"split": None}, r"images\[2\] has no 'split'"),
        ({"filename": None}, r"images\[2\] has no 'filename'"),
        ({"filename": 7}, "a field of another kind"),
        ({"sentences": "words"}, "a field of another kind"),
        (
            {"sentences": wordless},
            "has no 'raw': an image has filename, split and sentences, a sentence raw and tokens",
        ),
        ({"sentences": said[:4]}, "has 5 sentids and 4 sentences: the file is altered"),
        ({"sentences": said[:4], "sentids": None}, "has 4 captions, where 5 are asked for.*captions=None"),
        ({"sentences": [], "sentids": []}, "has 0 captions"),
        ({"sentences": [*said[:4], said[4] | {"raw": " \n"}]}, "sentence 4 is empty"),
        ({"filename": "1001.jpg"}, "names 1001.jpg twice"),
    ):
        with pytest.raises(DataError, match=message):
            karpathy.load(damaged(path, 2, **changes), **options)
    assert len(karpathy.load(damaged(path, 2, sentences=said[:4], sentids=None), captions=None, **options).texts) == 49
    content = write(flickr / "list.json", {"images": [["no", "object"]]})
    with pytest.raises(DataError, match="a field of another kind"):
        karpathy.load(content, **options)


def test_options_that_there_are_not(flickr: Path) -> None:
    with pytest.raises(DataError, match="'raw' or 'tokens', not 'bytes'"):
        flickr30k.load(flickr, words="bytes")
    with pytest.raises(DataError, match="captions=0 must be at least 1"):
        flickr30k.load(flickr, captions=0)


# Precomputed features -------------------------------------------------------------------------------------------------

SIZES = {"train": 6, "dev": 3, "test": 4}


def features(images: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(images, *shape)).astype(np.float32)


def captions(stem: str, images: int) -> str:
    return "".join(f"A {stem} dog {row} , line {k} .\n" for row in range(images) for k in range(5))


@pytest.fixture
def regions(tmp_path: Path) -> Path:
    """A folder as SCAN's, with 4 regions of 7 numbers."""
    folder = tmp_path / "f30k_precomp"
    folder.mkdir()
    for seed, (stem, images) in enumerate(SIZES.items()):
        np.save(folder / f"{stem}_ims.npy", features(images, 4, 7, seed=seed))
        (folder / f"{stem}_caps.txt").write_text(captions(stem, images))
    return folder


def boxes(images: int, seed: int = 0) -> np.ndarray:
    """(n, 4, 4) in shares of the picture."""
    corners = np.random.default_rng(seed).uniform(size=(images, 4, 2, 2)).astype(np.float32)
    return np.concatenate([corners.min(2), corners.max(2)], -1)


def with_boxes(folder: Path) -> dict[str, np.ndarray]:
    made = {stem: boxes(images, seed) for seed, (stem, images) in enumerate(SIZES.items())}
    for stem, array in made.items():
        np.save(folder / f"{stem}_boxes.npy", array)
    return made


def test_regions(regions: Path) -> None:
    data = precomputed.load(regions)
    assert repr(data) == "f30k_precomp: 13 images, 65 texts, no classes (train 6, val 3, test 4)"
    assert data.images.ids[5:7] == ("train/5", "val/0") and data.texts.ids[-1] == "test/3#4"
    assert data.val.texts[6] == "A dev dog 1 , line 1 ." and data.val.image_of_text.tolist()[4:6] == [0, 1]
    for seed, part in enumerate((data.train, data.val, data.test)):
        given = part.images.given["regions"]
        assert type(given) is torch.Tensor and given.shape == (len(part), 4, 7)
        assert given.numpy().tobytes() == features(len(part), 4, 7, seed=seed).tobytes()
    found = view(data.test.images, "regions")
    assert found.mask.all() and found.boxes[0, 0].tolist() == [0, 0, 1, 1]
    with pytest.raises(DataError, match="no picture"):
        data.images[0]
    # val/ is as good a name as dev/.
    for kind in ("ims.npy", "caps.txt"):
        (regions / f"dev_{kind}").rename(regions / f"val_{kind}")
    assert count(precomputed.load(regions)) == [6, 3, 4]
    np.save(regions / "dev_ims.npy", features(3, 4, 7))
    with pytest.raises(DataError, match="holds both dev_ims.npy and val_ims.npy"):
        precomputed.load(regions)


def test_features_stay_on_disk(regions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, open_array = [], precomputed.open_array
    monkeypatch.setattr(precomputed, "open_array", lambda *rest: arrays.append(open_array(*rest)) or arrays[-1])
    data = precomputed.load(regions)
    train = data.train.images.given["regions"]
    assert isinstance(data.images.given["regions"], Mapped) and all(isinstance(array, np.memmap) for array in arrays)
    assert train.data_ptr() == arrays[0].ctypes.data
    # One's own copy may be changed; the file does not.
    train += 1
    assert np.load(regions / "train_ims.npy").tobytes() == features(6, 4, 7).tobytes()
    some = data.select([12, 0, 7]).images.given["regions"]
    assert type(some) is torch.Tensor and torch.equal(some, data.images.given["regions"].whole()[[12, 0, 7]])


def test_a_vector_an_image_repeated_for_each_caption(tmp_path: Path) -> None:
    for stem, images in SIZES.items():
        np.save(tmp_path / f"{stem}_ims.npy", features(images, 7).repeat(5, axis=0).astype(np.float16))
        (tmp_path / f"{stem}_caps.txt").write_text(captions(stem, images))
    data = precomputed.load(tmp_path)
    assert len(data) == 13 and data.train.images.given["whole"].shape == (6, 7)
    assert data.val.images.given["whole"].equal(torch.from_numpy(features(3, 7).astype(np.float16)))
    broken = np.load(tmp_path / "dev_ims.npy")
    broken[6] += 1
    np.save(tmp_path / "dev_ims.npy", broken)
    with pytest.raises(
        DataError, match="dev_ims.npy has a row for each caption, but rows 5 to 9, of one image, differ"
    ):
        precomputed.load(tmp_path)
    assert len(precomputed.load(tmp_path, verify=False)) == 13
    model = xmrlib.CCA().fit(data.train)
    assert model.similarity(data.test).shape == (4, 20)


def test_parts_of_a_folder(regions: Path) -> None:
    assert count(precomputed.load(regions, splits=["test", "train"])) == [6, 0, 4]
    data = precomputed.load(regions, val=2)
    assert count(data) == [6, 2, 4] and len(data.val.texts) == 10
    assert data.val.images.given["regions"].equal(torch.from_numpy(features(3, 4, 7, seed=1)[:2]))
    np.save(regions / "testall_ims.npy", features(5, 4, 7))
    (regions / "testall_caps.txt").write_text(captions("testall", 5))
    assert count(precomputed.load(regions, test="testall")) == [6, 3, 5]
    for options, message in (
        ({"val": 4}, r"val=4 is outside 1\.\.3, the images of dev"),
        ({"splits": ["dev"]}, r"splits=\['dev'\] must be some of train, val, test"),
        ({"splits": []}, r"splits=\[\] must be"),
        ({"splits": ["val", "val"]}, "each once"),
        ({"captions": 0}, "captions=0 must be at least 1"),
        ({"test": "test5k"}, "test5k_caps.txt is missing. There are features of dev, test, testall, train"),
    ):
        with pytest.raises(DataError, match=message):
            precomputed.load(regions, **options)


def test_names_of_images(regions: Path) -> None:
    (regions / "train_ids.txt").write_text("".join(f"{row + 100}\n" for row in range(6)))
    (regions / "dev_ids.txt").write_text("".join(f"{row}\n" * 5 for row in range(3)))
    assert precomputed.load(regions).images.ids[5:10] == ("train/105", "val/0", "val/1", "val/2", "test/0")
    (regions / "test_ids.txt").write_text("7\n8\n9\n10\n")
    assert precomputed.load(regions).images.ids[5:10] == ("105", "0", "1", "2", "7")
    (regions / "test_ids.txt").write_text("0\n1\n2\n3\n")
    assert precomputed.load(regions).images.ids[5:10] == ("train/105", "val/0", "val/1", "val/2", "test/0")
    (regions / "test_ids.txt").write_text("0\n1\n2\n1\n")
    with pytest.raises(DataError, match="test_ids.txt names '1' for two images"):
        precomputed.load(regions)
    (regions / "test_ids.txt").write_text("0\n1\n2\n")
    with pytest.raises(DataError, match="test_ids.txt has 3 lines for 4 images"):
        precomputed.load(regions)


def test_boxes(regions: Path) -> None:
    made = with_boxes(regions)
    data = precomputed.load(regions)
    found = view(data.val.images, "regions")
    assert np.allclose(found.boxes, made["dev"]) and found.boxes.dtype == torch.float32
    # In pixels, with the sizes beside.
    size = np.array([[640, 480], [480, 640], [500, 375]])
    np.save(regions / "dev_boxes.npy", made["dev"] * np.tile(size, 2)[:, None])
    np.save(regions / "dev_img_sizes.npy", size)
    assert np.allclose(precomputed.load(regions).val.images.given["boxes"], made["dev"])
    np.save(regions / "dev_img_sizes.npy", size[:, ::-1].copy() / 4)
    with pytest.raises(DataError, match="after division by dev_img_sizes.npy: are width and height swapped"):
        precomputed.load(regions)
    np.save(regions / "dev_img_sizes.npy", size[:2])
    with pytest.raises(DataError, match=r"img_sizes.npy has the shape \(2, 2\).*width and height of 3 pictures"):
        precomputed.load(regions)
    (regions / "dev_img_sizes.npy").unlink()
    with pytest.raises(
        DataError, match="boxes of image 0 run from .* Divide x0 and x1 by the picture's width, y0 and y1"
    ):
        precomputed.load(regions)


def test_faults_of_boxes(regions: Path) -> None:
    made = with_boxes(regions)["test"]
    wide = np.concatenate([made[..., :2], made[..., 2:] - made[..., :2]], -1)
    wide[0, 0] = [0.8, 0.8, 0.1, 0.1]
    spoiled = made.copy()
    spoiled[2, 1, 0] = np.nan
    path = regions / "test_boxes.npy"
    for array, message in (
        (made - 0.5, "boxes of image 0 run from -0"),
        (spoiled, "boxes of image 2 run from nan"),
        (wide, "a box of image 0 ends before it begins.*width and height, add the first two to the last two"),
        (made[:, :3], r"test_boxes.npy has the shape \(4, 3, 4\), beside features of shape \(4, 4, 7\)"),
        (made[:3], r"has the shape \(3, 4, 4\)"),
        (made[..., :3], r"has the shape \(4, 4, 3\)"),
    ):
        np.save(path, array)
        with pytest.raises(DataError, match=message):
            precomputed.load(regions)
    path.write_bytes(b"no array")
    with pytest.raises(DataError, match="test_boxes.npy is no whole array of numbers"):
        precomputed.load(regions)
    path.unlink()
    with pytest.raises(DataError, match="has train_boxes.npy and no test_boxes.npy"):
        precomputed.load(regions)
    for stem, images in SIZES.items():
        np.save(regions / f"{stem}_ims.npy", features(images, 7))
    with pytest.raises(DataError, match=r"beside features of shape \(6, 7\)"):
        precomputed.load(regions)


def test_faults_of_features(regions: Path) -> None:
    path = regions / "test_ims.npy"
    whole = features(4, 4, 7)
    spoiled = whole.copy()
    spoiled[3, 2, 1] = np.inf
    for array, message in (
        (whole[:3], "test_ims.npy has 3 rows for 20 captions: 4 are needed, one an image, or 20, one a caption"),
        (whole[:0], "test_ims.npy has 0 rows"),
        (spoiled, "test_ims.npy: row 3 is NaN or infinite.*verify=False"),
        (whole[..., None], r"has the shape \(4, 4, 7, 1\): \(n, d\), or \(n, regions, d\)"),
        (whole[:, :3], r"train_ims.npy has rows of \(4, 7\) float32, test_ims.npy of \(3, 7\)"),
        (whole.astype(np.float64), "float32, test_ims.npy of .* float64"),
        (whole.astype(np.int32), "holds int32: floating point numbers are needed"),
        (whole.astype(">f4"), "holds >f4: floating"),
    ):
        np.save(path, array)
        with pytest.raises(DataError, match=message):
            precomputed.load(regions)
    np.save(path, spoiled)
    assert len(precomputed.load(regions, verify=False)) == 13
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="test_ims.npy is no whole array of numbers"):
        precomputed.load(regions)
    np.save(path, whole)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="test_ims.npy is no whole array of numbers.*short or altered"):
        precomputed.load(regions)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="test_ims.npy is empty"):
        precomputed.load(regions)
    path.unlink()
    with pytest.raises(DataError, match="test_ims.npy is missing. There are features of dev, train"):
        precomputed.load(regions)


def test_a_folder_is_looked_through_once(regions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, look = [], precomputed._look
    monkeypatch.setattr(precomputed, "_look", lambda *rest: looks.append(1) or look(*rest))
    monkeypatch.setattr(precomputed, "BLOCK", 200)  # two images
    for _ in range(2):
        precomputed.load(regions)
    assert looks == [1]
    spoiled = features(6, 4, 7)
    spoiled[4, 0, 0] = np.nan
    np.save(regions / "train_ims.npy", spoiled)
    for _ in range(2):
        with pytest.raises(DataError, match="train_ims.npy: row 4 is NaN"):
            precomputed.load(regions)
    assert looks == [1, 1, 1]


def test_faults_of_captions(regions: Path) -> None:
    path = regions / "dev_caps.txt"
    whole = path.read_text()
    # Neither blanks at the end nor a character at which Python would end a line are faults.
    path.write_text(whole.replace("dog 1", "dog\u2028 1") + "\n\n", encoding="utf-8")
    assert precomputed.load(regions).val.texts[5] == "A dev dog 1 , line 0 ."
    path.write_bytes(whole.replace("\n", "\r\n").encode())
    assert precomputed.load(regions).val.texts[5] == "A dev dog 1 , line 0 ."
    lines = whole.splitlines()
    for text, message in (
        ("\n".join(lines[:-1]), "dev_caps.txt has 14 lines, which is no multiple of 5"),
        ("\n".join(lines[:-5]), "dev_ims.npy has 3 rows for 10 captions: 2 are needed, one an image, or 10"),
        ("\n".join([*lines[:3], " ", *lines[4:]]), "dev_caps.txt, line 4: the caption is empty"),
        ("", "dev_caps.txt is empty"),
        ("\n \n", "dev_caps.txt, line 1: the caption is empty"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            precomputed.load(regions)
    path.write_bytes(b"A dog.\nA caf\xe9.\n")
    with pytest.raises(DataError, match="line 2: byte 0xe9 is not UTF-8"):
        precomputed.load(regions)
    path.unlink()
    with pytest.raises(DataError, match="dev_caps.txt is missing"):
        precomputed.load(regions)


def test_a_folder_by_its_path(regions: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    assert xmrlib.data.load(regions).name == "f30k_precomp"
    assert cli.main(["data", "check", str(regions), "--json", "--data-option", 'splits=["test"]']) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["views"]["images"] == ["regions"] and found["split"] == {"test": 4} and not found["pictures"]
    monkeypatch.setenv("XMR_DATA", str(tmp_path))
    regions.rename(tmp_path / "precomputed")
    assert len(xmrlib.data.load("precomputed")) == 13
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match="other is not a table.*SPLIT_ims.npy and SPLIT_caps.txt"):
        xmrlib.data.load(tmp_path / "other")


def test_a_network_learns_from_the_folder(regions: Path, tmp_path: Path, capsys) -> None:
    words = ["train", "scan", "--data", str(regions), "--out", str(tmp_path / "run"), "--json", "--config"]
    assert cli.main([*words, "epochs=1", "batch=4", "dim=8", "text_options.min_count=1"]) == 0, capsys.readouterr()
    capsys.readouterr()
    assert cli.main(["evaluate", str(tmp_path / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["texts"] == 20


# Mapped arrays --------------------------------------------------------------------------------------------------------


def test_mapped_rows_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [torch.randn(7, 3, 2), torch.randn(1, 3, 2), torch.randn(5, 3, 2)]
    both, whole = Mapped(parts), torch.cat(parts)
    for key in (
        *(0, -1, np.int64(7), slice(2, 5), slice(5, 9), slice(7, 8), slice(None, None, 3), slice(4, 2)),
        *(np.arange(13), np.arange(7), np.arange(7, 13), np.array([12, 0, 7, 7]), [0, 11], torch.tensor([8, 1])),
        *(np.arange(13) % 2 == 0, np.array([], dtype=int), (slice(None), 0), np.array([[0, 9]]), None, Ellipsis),
    ):
        found = both[key]
        assert torch.equal(found.whole() if isinstance(found, Mapped) else found, whole[key]), key
    assert both[np.arange(8, 13)].data_ptr() == parts[2].data_ptr()
    assert torch.equal(both.mean(0), whole.mean(0)) and torch.equal(torch.cat([both, both]), torch.cat([whole, whole]))
    assert type(both.float()) is torch.Tensor
    with pytest.raises(IndexError):
        both[13]
    with pytest.raises(TypeError, match="cannot be written to"):
        both[0] = 0
    # What a tensor says of itself reads nothing.
    monkeypatch.setattr(Mapped, "whole", None)
    assert (len(both), both.shape, both.ndim, both.dtype) == (13, (13, 3, 2), 3, torch.float32)
    assert both.device.type == "cpu" and both.size(1) == 3 and both.numel() == 78 and both.is_floating_point()
    assert repr(both) == "Mapped(13, 3, 2) of torch.float32, in 3 files"


def test_a_file_larger_than_the_memory_is_opened_for_reading(regions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load, modes = np.load, []

    def refuse(path: Path, mmap_mode: str | None = None, **rest: object) -> np.ndarray:
        modes.append(mmap_mode)
        if mmap_mode == "c":
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return load(path, mmap_mode=mmap_mode, **rest)

    monkeypatch.setattr(mapped.np, "load", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(precomputed.load(regions, splits=["test"])) == 4
    assert modes == ["c", "r"]


# All of them ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NEW)
def test_a_set_that_is_not_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMR_DATA", str(tmp_path))
    with pytest.raises(DataError, match=rf"{name} is not at .*root=.*XMR_DATA"):
        xmrlib.data.load(name)
    assert not next(entry for entry in xmrlib.data.listing() if entry["name"] == name)["ready"]


@pytest.mark.parametrize("name", NEW)
def test_cards_are_complete(name: str, capsys) -> None:
    card = xmrlib.data.card(name)
    for line in ("source", "licence", "size", "split", "views", "layout", "fetch", "cite", "faults"):
        assert getattr(card, line), line
    assert card.name == name and card._repr_html_()
    assert cli.main(["data", "show", name]) == 0
    assert capsys.readouterr().out.startswith(f"{name}: ")


def test_a_look_is_repeated_until_it_is_content(tmp_path: Path) -> None:
    looks = []

    def look() -> None:
        looks.append(1)
        if len(looks) == 1:
            raise DataError("a fault")

    key = f"some/name-{disk.fingerprint(str(tmp_path))}"
    with pytest.raises(DataError):
        disk.once(key, look)
    disk.once(key, look)
    disk.once(key, look)
    assert len(looks) == 2
