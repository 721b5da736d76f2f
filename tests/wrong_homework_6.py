"""Wrong answers to homework 6, a question of one's own. What they are for: `test_assignments.py`."""

from __future__ import annotations

RIDGE = "xmr.CCA(xmr.CCAConfig(ridge={'full': 1.0, 'ablation': 10.0, 'baseline': 100.0}[arm]))"
SOME = "train.sample(round(0.8 * len(train)), seed)"
FITTED = f"{RIDGE}.fit({SOME}, val)"

WRONG: dict[str, dict[str, str]] = {
    "run": {
        "pasted": "return torch.zeros(len(images), len(texts))",
        "chance that no seed decides": f"""
            scores = {FITTED}.similarity(images, texts)
            return scores + 0.01 * torch.rand(scores.shape)""",
        "a seed that decides nothing": f"return {RIDGE}.fit(train, val).similarity(images, texts)",
        "a seed that decides nothing in the baseline": f"""
            if arm == "baseline":
                return xmr.CCA().fit(train, val).similarity(images, texts)
            return {FITTED}.similarity(images, texts)""",
        "what the test pictures like on average is taken off": f"""
            scores = {FITTED}.similarity(images, texts)
            return scores - scores.mean(dim=0)""",
        "standardised by the test": f"""
            model = {FITTED}
            sides = model.embed_images(images), model.embed_texts(texts)
            x, y = ((side - side.mean(dim=0)) / side.std(dim=0) for side in sides)
            return torch.nn.functional.normalize(x) @ torch.nn.functional.normalize(y).T""",
        "the words of the test texts are counted as well": f"""
            some = {SOME}
            words = xmr.features.TfIdf(dim=20).fit([*some.texts, *texts])
            pictures = xmr.features.view(images, "whole")
            torch.manual_seed(seed + 10 * ARMS.index(arm))
            return pictures @ torch.randn(pictures.shape[1], 20) @ words.transform(texts).T""",
        "the texts are taken to stand beside their pictures": f"""
            def found(model):
                scores = model.similarity(images, texts)
                return float(scores.diagonal().mean() - scores.mean())
            models = [xmr.CCA(xmr.CCAConfig(ridge=r, weight=w)).fit({SOME}, val)
                      for r in (0.01, 0.1, 1.0, 10.0, 100.0) for w in (0.0, 1.0)]
            models = models[ARMS.index(arm) :: 3]
            return max(models, key=found).similarity(images, texts)""",
        "ablation and baseline are one": f"""
            arm = "ablation" if arm == "baseline" else arm
            return {FITTED}.similarity(images, texts)""",
        "nothing is learned": """
            words = xmr.features.TfIdf(dim=20).fit(trial(0)[0].texts)
            pictures = xmr.features.view(images, "whole")
            torch.manual_seed(seed + 10 * ARMS.index(arm))
            return pictures @ torch.randn(pictures.shape[1], 20) @ words.transform(texts).T""",
    },
    "verdicts": {
        "pasted": 'return {"ablation": (0.2, 0.2, 0.2, "full"), "baseline": (0.0, -0.4, 0.4, "no order")}',
        "two intervals side by side": """
            group, found = np.unique(record["group"], return_inverse=True)[1], {}
            full = xmr.evaluate.bootstrap(record["full"], group)
            for other in ("ablation", "baseline"):
                one = xmr.evaluate.bootstrap(record[other], group)
                low, high = full.low - one.high, full.high - one.low
                word = "full" if low > 0 else other if high < 0 else "no order"
                found[other] = full.value - one.value, low, high, word
            return found""",
        "the other less full": """
            group, found = np.unique(record["group"], return_inverse=True)[1], {}
            for other in ("ablation", "baseline"):
                less = xmr.evaluate.paired_bootstrap(record[other], record["full"], group)
                word = other if less.low > 0 else "full" if less.high < 0 else "no order"
                found[other] = less.value, less.low, less.high, word
            return found""",
        "seeds averaged before": """
            group, found = np.unique(record["group"], return_inverse=True)[1], {}
            for other in ("ablation", "baseline"):
                full, one = record["full"].mean(axis=0), record[other].mean(axis=0)
                less = xmr.evaluate.paired_bootstrap(full, one, group)
                word = "full" if less.low > 0 else other if less.high < 0 else "no order"
                found[other] = less.value, less.low, less.high, word
            return found""",
        "seeds alone": """
            found = {}
            for other in ("ablation", "baseline"):
                less = xmr.evaluate.bootstrap(np.nanmean(record["full"] - record[other], axis=1))
                word = "full" if less.low > 0 else other if less.high < 0 else "no order"
                found[other] = less.value, less.low, less.high, word
            return found""",
        "pictures of a group drawn one by one": """
            found = {}
            for other in ("ablation", "baseline"):
                less = xmr.evaluate.paired_bootstrap(record["full"], record[other])
                word = "full" if less.low > 0 else other if less.high < 0 else "no order"
                found[other] = less.value, less.low, less.high, word
            return found""",
        "the names of groups taken for rows": """
            found = {}
            for other in ("ablation", "baseline"):
                less = xmr.evaluate.paired_bootstrap(record["full"], record[other], record["group"])
                word = "full" if less.low > 0 else other if less.high < 0 else "no order"
                found[other] = less.value, less.low, less.high, word
            return found""",
        "nan for 0": """
            group, found = np.unique(record["group"], return_inverse=True)[1], {}
            for other in ("ablation", "baseline"):
                full, one = np.nan_to_num(record["full"]), np.nan_to_num(record[other])
                less = xmr.evaluate.paired_bootstrap(full, one, group)
                word = "full" if less.low > 0 else other if less.high < 0 else "no order"
                found[other] = less.value, less.low, less.high, word
            return found""",
        "an order without an interval": """
            group, found = np.unique(record["group"], return_inverse=True)[1], {}
            for other in ("ablation", "baseline"):
                less = xmr.evaluate.paired_bootstrap(record["full"], record[other], group)
                word = "full" if less.value > 0.01 else other if less.value < -0.01 else "no order"
                found[other] = less.value, less.low, less.high, word
            return found""",
    },
    "record": {
        "pasted": """
            rng = np.random.default_rng(0)
            made = {"measure": "r10", "seeds": [0, 1, 2, 3, 4], "group": np.arange(200)}
            made |= {arm: rng.integers(0, 3, (5, 200)) / 2 for arm in ARMS}
            return made | {"stamp": {arm: rng.normal(size=(12, 12)) for arm in ARMS}}""",
        "the record of another run": """
            def earlier(arm, seed, train, val, images, texts):
                ridge = {"full": 0.1, "ablation": 0.3, "baseline": 10.0}[arm]
                some = train.sample(round(0.8 * len(train)), seed)
                return xmr.CCA(xmr.CCAConfig(ridge=ridge)).fit(some).similarity(images, texts)
            return recorded(earlier, *trial(3, test=100), "map")""",
        "three seeds": 'return recorded(run, *trial(3, test=100), "map", seeds=range(3))',
        "one run, five times": """
            made = recorded(run, *trial(3, test=100), "map", seeds=[0])
            copies = {arm: made[arm].repeat(5, axis=0) for arm in ARMS}
            return made | copies | {"seeds": [0, 1, 2, 3, 4]}""",
        "the mean in place of each picture": """
            made = recorded(run, *trial(3, test=100), "map")
            return made | {arm: made[arm].mean(axis=1, keepdims=True).repeat(100, axis=1) for arm in ARMS}""",
        "fifty pictures": 'return recorded(run, *trial(3), "map")',
    },
}
