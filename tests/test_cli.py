"""The command `xmr`, from data to a page of hits, on a handful of scenes; and what it says of a faulty request."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from xmrlib import __version__, cli, commands
from xmrlib.methods import CCAConfig, SemanticMatchingConfig

FEW = ["--data-option", "train=60", "val=20", "test=20", "size=96"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with a CCA trained by the command on a few scenes."""
    folder = tmp_path_factory.mktemp("cli")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XMR_CACHE", str(folder / "cache"))
        out = str(folder / "runs" / "cca")
        code = cli.main(["train", "cca", "--data", "scenes", *FEW, "--out", out, "--config", "ridge=validation"])
        assert code == 0
        yield folder / "runs" / "cca"


@pytest.fixture
def xmr(capsys, monkeypatch):
    """Run a command in this process; return its exit code, and what it wrote to stdout and stderr."""
    monkeypatch.setenv("XMR_PROGRESS", "0")

    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main([str(word) for word in words])
        return code, *capsys.readouterr()

    return call


def test_training_leaves_a_model_and_what_it_was_trained_on(run):
    about = json.loads((run / "train.json").read_text())
    assert (run / "model.safetensors").is_file()
    assert about["method"] == "cca"
    assert about["data"] == "scenes"
    assert about["data_options"] == {"train": 60, "val": 20, "test": 20, "size": 96}
    assert about["config"]["ridge"] == "validation"
    assert isinstance(about["chosen"]["ridge"], float)
    assert 0 <= about["validation"]["map_avg"] <= 1
    assert sorted(path.name for path in run.iterdir()) == ["model.safetensors", "train.json"]


def test_evaluation_remembers_the_data(run, xmr):
    code, out, _ = xmr("evaluate", run)
    assert code == 0
    assert "20 images, 20 texts" in out
    assert "MAP" in out
    code, out, _ = xmr("evaluate", run, "--split", "val", "--protocol", "authors", "--json")
    found = json.loads(out)
    assert (code, found["split"], found["protocol"], found["images"]) == (0, "val", "authors", 20)
    assert {"map_i2t", "map_t2i", "r1_i2t", "twin_t2i"} <= set(found["metrics"])


def test_evaluation_on_other_data(run, xmr):
    code, out, _ = xmr("evaluate", run, "--data", "scenes", *FEW[:3], "test=12", "size=96", "--json")
    assert code == 0
    assert json.loads(out)["images"] == 12


def test_a_sentence_finds_pictures(run, xmr, tmp_path):
    page = tmp_path / "pages" / "hits.html"
    code, out, _ = xmr("search", run, "boats near an island", "--top", 3, "--html", page)
    assert code == 0
    assert len(re.findall(r"^ +\d  ", out, re.M)) == 3
    html = page.read_text()
    assert html.count("<li ") == 3
    assert html.count("data:image/jpeg;base64,") == 3
    assert html.count('alt="') == 3
    assert "boats near an island" in html
    assert "OpenMoji" in html and "CC BY-SA 4.0" in html
    assert not re.search(r"""(src|href)=["'](?!data:|https://(openmoji|creativecommons)\.org)""", html)
    code, out, _ = xmr("search", run, "boats near an island", "--top", 2, "--json", "--split", "train")
    assert xmr("search", run, "--top", 2, "--json", "--split", "train", "boats near an island")[1] == out
    hits = json.loads(out)
    assert [hit["rank"] for hit in hits] == [1, 2]
    assert hits[0]["score"] >= hits[1]["score"]
    assert set(hits[0]) == {"rank", "score", "id", "label", "text"}
    assert hits[0]["id"].startswith("train")


def test_more_hits_than_there_are(run, xmr):
    code, out, _ = xmr("search", run, "boats near an island", "--top", 500, "--json")
    assert code == 0
    assert len(json.loads(out)) == 20


def test_a_picture_finds_texts(run, xmr, tmp_path):
    from xmrlib import data

    part = data.load("scenes", train=60, val=20, test=20, size=96).train
    part.images[4].save(tmp_path / "query.png")
    page = tmp_path / "hits.html"
    code, out, _ = xmr("search", run, "--image", tmp_path / "query.png", "--split", "train", "--json", "--html", page)
    hits = json.loads(out)
    assert code == 0
    assert part.texts.ids[4] in [hit["id"] for hit in hits]  # it was trained on this very pair
    assert page.read_text().count("data:image/jpeg") == 1


def test_words_never_seen_are_said_so(run, xmr):
    code, _, err = xmr("search", run, "xyzzy plugh")
    assert code == 2
    assert "no word of 'xyzzy plugh'" in err


def test_every_method_trains(xmr, tmp_path, run):
    for method, config in (("semantic_matching", "image_c=0.01"), ("kernel_cca", "landmarks=30")):
        code, out, _ = xmr(
            "train", method, "--data", "scenes", *FEW, "--out", tmp_path / method, "--config", config, "--json"
        )
        assert code == 0
        assert json.loads(out)["method"] == method
        assert xmr("evaluate", tmp_path / method)[0] == 0


def test_methods_of_several_stages_train_evaluate_and_search(xmr, tmp_path):
    from xmrlib import data

    few = ["--data-option", "train=20", "val=8", "test=8", "size=96", "--texts", "joined"]
    query = data.load("scenes", train=20, val=8, test=8, size=96).train.texts[0]
    settings = {
        "corr_ae": ["code=16", "text_options.min_count=1"],
        "ccl": ["text_parts_options.encoder=tfidf", "image_hidden=16", "text_hidden=16", "code=16", "fused=16",
                "separate=16", "hidden=16", "dim=8", "pretraining_epochs=1", "association_epochs=1", "fusion_epochs=1",
                "supervised_epochs=1"],
    }  # fmt: skip
    for method, own in settings.items():
        out = tmp_path / method
        words = ("train", method, "--data", "scenes", *few, "--out", out, "--json")
        code, found, err = xmr(*words, "--config", *own, "epochs=2", "batch=10")
        assert code == 0, err
        about = json.loads(found)
        assert about["method"] == method and about["config"]["epochs"] == 2 and about["texts"] == "joined"
        assert about["chosen"]["epoch"] in (1, 2) and 0 <= about["validation"]["map_avg"] <= 1
        log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        assert len({line["stage"] for line in log}) == (1 if method == "corr_ae" else 8 + 2 + 2 + 2 + 1)
        code, found, _ = xmr("evaluate", out, "--json")
        assert (code, json.loads(found)["images"], json.loads(found)["texts"]) == (0, 8, 8)
        code, found, err = xmr("search", out, query, "--top", 3, "--json")
        assert code == 0, err
        assert [hit["rank"] for hit in json.loads(found)] == [1, 2, 3]
        assert xmr("search", out, "xyzzy plugh")[0] == 2
    code, _, err = xmr("train", "ccl", "--config", "grain=fine")
    assert code == 2 and "CCLConfig has no 'grain'" in err and "Did you mean 'grains'?" in err
    code, _, err = xmr("train", "ccl", "--config", "correlation=2")
    assert code == 2 and "correlation=2 is outside [0, 1]" in err


def test_scores_that_depend_on_who_asks_are_evaluated_as_they_are_asked(xmr, tmp_path):
    from xmrlib import MCSM, data, evaluate

    words = ("train", "mcsm", "--data", "scenes", "--data-option", "train=20", "val=8", "test=8", "size=96")
    small = [
        "dim=8",
        "image_hidden=8",
        "text_hidden=8",
        "word_dim=8",
        "kernels=[3]",
        "maps=[8]",
        "pools=[2]",
        "epochs=2",
        "batch=10",
    ]
    code, _, err = xmr(*words, "--texts", "joined", "--out", tmp_path / "run", "--config", *small)
    assert code == 0, err
    found = json.loads(xmr("evaluate", tmp_path / "run", "--json")[1])["metrics"]
    model = MCSM.load(tmp_path / "run/model.safetensors")
    test = data.load("scenes", train=20, val=8, test=8, size=96).test.with_texts("joined")
    scores = [model.similarity(test, queries=side) for side in ("images", "texts")]
    assert found["map_i2t"] == pytest.approx(evaluate.map_all(scores[0], test.labels, test.text_labels).i2t)
    assert found["map_t2i"] == pytest.approx(evaluate.map_all(scores[1], test.labels, test.text_labels).t2i)


def test_the_readers_own_table(xmr, tmp_path):
    from PIL import Image

    colours = {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200)}
    lines = ["image,text,label,split"]
    for i in range(24):
        name = list(colours)[i % 3]
        Image.new("RGB", (40, 40), tuple(c + i for c in colours[name])).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,a {name} square on a wall,{name},{'test' if i >= 18 else 'train'}")
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    assert xmr("data", "check", tmp_path / "pairs.csv")[0] == 0
    code, out, err = xmr("train", "cca", "--data", tmp_path / "pairs.csv", "--out", tmp_path / "run")
    assert code == 0, err
    assert "validation" not in out  # there is no such split here, and nothing to choose
    code, out, _ = xmr("search", tmp_path / "run", "a blue square", "--top", 1, "--json", "--html", tmp_path / "h.html")
    assert json.loads(out)[0]["label"] == "blue"
    assert "OpenMoji" not in (tmp_path / "h.html").read_text()


def test_data_commands(xmr):
    code, out, _ = xmr("data", "list")
    assert code == 0
    assert {"emoji", "scenes", "wikipedia"} <= {line.split()[0] for line in out.splitlines()}
    assert json.loads(xmr("data", "list", "--json")[1])[0]["name"] == "emoji"
    assert xmr("data", "show", "scenes")[1].startswith("scenes:")
    assert json.loads(xmr("data", "show", "wikipedia", "--json")[1])["name"] == "wikipedia"
    checked = json.loads(xmr("data", "check", "scenes", *FEW, "--json")[1])
    assert (checked["images"], checked["split"]["test"], len(checked["classes"])) == (100, 20, 10)
    code, _, err = xmr("data", "fetch", "scenes")
    assert code == 2
    assert "nothing to fetch" in err


def test_features_command(run, xmr):
    code, out, _ = xmr("features", "scenes", *FEW, "--view", "whole", "--json")
    assert code == 0
    assert json.loads(out)["shape"] == [100, 1280]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data", "show", "sceness"], "Did you mean 'scenes'?"),
        (["data", "check", "nothing.csv"], "nothing.csv"),
        (["train", "cca", "--data", "scenes"], "train needs --data NAME and --out FOLDER"),
        (["train", "cca", "--config", "rigde=1"], "CCAConfig has no 'rigde'; .* Did you mean 'ridge'?"),
        (["train", "cca", "--config", "ridge"], "'ridge' is not of the form key=value"),
        (["train", "cca", "--config", "ridge=-1"], "ridge=-1 must be 0 or more"),
        (["train", "cca", "--config", "ridge=true=x"], "ridge='true=x' is neither"),
        (["evaluate", "no/such/run"], "there is no checkpoint at no/such/run"),
        (["search", "no/such/run"], "either a sentence"),
        (["search", "no/such/run", "--top", "2", "boats", "near"], "unrecognized arguments: boats near"),
        (["search", "no/such/run", "--best", "2"], "unrecognized arguments: --best"),
        (["search", "no/such/run", "a cow", "--image", "x.png"], "either a sentence"),
        (["features", "scenes", *FEW, "--view", "holes"], "holes"),
        (["features", "scenes", *FEW, "--backbone", "vgg"], "vgg"),
        (["reproduce", "no_such_table"], "there is no recipe 'no_such_table'; there are ccl_"),
    ],
)
def test_a_fault_of_the_request_is_one_line_and_exit_code_2(words, message, xmr):
    code, out, err = xmr(*words)
    assert code == 2
    assert out == ""
    assert err.startswith("xmr: ") and err.count("\n") == 1
    assert re.search(message, err)
    assert "Traceback" not in err


def test_a_spoiled_model_a_missing_note_and_an_unreadable_picture(run, xmr, tmp_path):
    (tmp_path / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    code, _, err = xmr("evaluate", tmp_path)
    assert code == 2 and "does not say what it was trained on" in err
    (tmp_path / "model.safetensors").write_bytes(b"half")
    code, _, err = xmr("evaluate", tmp_path)
    assert code == 2 and "no whole checkpoint" in err
    (tmp_path / "query.png").write_text("not a picture")
    code, _, err = xmr("search", run, "--image", tmp_path / "query.png")
    assert code == 2 and "no picture that can be read" in err
    code, _, err = xmr("search", run, "--image", tmp_path / "absent.png")
    assert code == 2 and "absent.png" in err


def test_argparse_faults_end_with_2(xmr):
    for words in ([], ["fly"], ["train", "magic"], ["search", "x", "y", "--top", "0"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(words)
        assert ended.value.code == 2


def test_a_fault_of_the_program_is_1_and_ctrl_c_130(xmr, monkeypatch):
    def broken(options):
        """Fail."""
        raise ZeroDivisionError("a bug")

    def stopped(options):
        """Stop."""
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "data_list", broken)
    code, _, err = xmr("data", "list")
    assert code == 1
    assert "a fault of the program: ZeroDivisionError: a bug" in err
    with pytest.raises(ZeroDivisionError):
        xmr("--traceback", "data", "list")
    monkeypatch.setattr(commands, "data_list", stopped)
    code, _, err = xmr("data", "list")
    assert (code, err) == (130, "\nstopped\n")


def test_configurations_from_words():
    config = commands.config_from(
        CCAConfig, ["ridge=0.5", "dim=none", "text_options.dim=20", "text_options.stem=false"]
    )
    assert config == CCAConfig(ridge=0.5, dim=None, text_options={"dim": 20, "stem": False})
    assert commands.config_from(SemanticMatchingConfig, ["classifier=mlp"]).classifier == "mlp"


def test_listing_a_configuration(xmr):
    code, out, _ = xmr("train", "semantic_matching", "--list-config", "--config", "hidden=64")
    assert code == 0
    assert "hidden = 64" in out.splitlines()
    assert 'classifier = "logistic"' in out.splitlines()


def test_the_module_is_the_command():
    done = subprocess.run([sys.executable, "-m", "xmrlib", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"xmrlib {__version__}\n"
    assert done.stderr == ""
