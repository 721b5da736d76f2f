"""Wrong answers to homework 1, measuring and CCA. What they are for: `test_assignments.py`."""

from __future__ import annotations

WRONG: dict[str, dict[str, str]] = {
    "average-precision": {
        "pasted": "return np.array([7 / 12, 13 / 36, np.nan])",
        "the order in which the items are stored": """
            order = np.argsort(-scores, axis=1, kind="stable")
            right = np.take_along_axis(relevant, order, axis=1)
            precision = right.cumsum(axis=1) / np.arange(1, right.shape[1] + 1)
            count = right.sum(axis=1)
            return np.where(count > 0, (precision * right).sum(axis=1) / np.maximum(count, 1), np.nan)""",
        "0 where nothing is right": """
            found = np.zeros(len(scores))
            for query, (row, right) in enumerate(zip(scores, relevant)):
                above = hits = 0
                for value in np.unique(row)[::-1]:
                    tied = row == value
                    size, rights = tied.sum(), (tied & right).sum()
                    others = np.arange(size) * (rights - 1) / max(size - 1, 1)
                    found[query] += rights / size * ((hits + 1 + others) / (above + 1 + np.arange(size))).sum()
                    above, hits = above + size, hits + rights
                found[query] /= max(hits, 1)
            return found""",
        "halfway between the worst and the best order": """
            found = []
            for bonus in (-1e-9, 1e-9):
                order = np.argsort(-scores - bonus * relevant, axis=1)
                right = np.take_along_axis(relevant, order, axis=1)
                precision = right.cumsum(axis=1) / np.arange(1, right.shape[1] + 1)
                count = right.sum(axis=1)
                found.append(np.where(count > 0, (precision * right).sum(axis=1) / np.maximum(count, 1), np.nan))
            return (found[0] + found[1]) / 2""",
        "a tied item counts as the middle of its group": """
            found = np.full(len(scores), np.nan)
            for query, (row, right) in enumerate(zip(scores, relevant)):
                if right.any():
                    ahead = (row[None] > row[:, None]) + (row[None] == row[:, None]) / 2
                    np.fill_diagonal(ahead, 0.0)
                    found[query] = ((1 + (ahead * right).sum(axis=1)) / (1 + ahead.sum(axis=1)))[right].mean()
            return found""",
        "what scores 0 or less was not retrieved": """
            found = np.full(len(scores), np.nan)
            for query, (row, right) in enumerate(zip(scores, relevant)):
                right, above, hits, total = right & (row > 0), 0, 0, 0.0
                for value in np.unique(row)[::-1]:
                    tied = row == value
                    size, rights = tied.sum(), (tied & right).sum()
                    others = np.arange(size) * (rights - 1) / max(size - 1, 1)
                    total += rights / size * ((hits + 1 + others) / (above + 1 + np.arange(size))).sum()
                    above, hits = above + size, hits + rights
                if hits:
                    found[query] = total / hits
            return found""",
    },
    "chance": {
        "pasted": "return 0.75, ((1 + 5 / 6 + 7 / 12) / 3 + (1 + 1 / 2 + 1 / 3) / 3) / 2",
        "the share of right answers": """
            same = labels[:, None] == text_labels[None]
            ways = (same.mean(axis=1), same.mean(axis=0))
            return tuple(float(share[share > 0].mean()) for share in ways)""",
        "a mean over the classes": """
            def one_way(queries, items):
                size = len(items)
                right = np.array([(items == label).sum() for label in np.unique(queries)])
                right = right[right > 0]
                harmonic = (1 / np.arange(1, size + 1)).sum()
                if size == 1:
                    return 1.0
                return float(((right - 1) / (size - 1) + harmonic / size * (size - right) / (size - 1)).mean())
            return one_way(labels, text_labels), one_way(text_labels, labels)""",
        "0 for a class that the other side has not": """
            def one_way(queries, items):
                size = len(items)
                right = (queries[:, None] == items[None]).sum(axis=1)
                harmonic = (1 / np.arange(1, size + 1)).sum()
                value = (right - 1) / max(size - 1, 1) + harmonic / size * (size - right) / max(size - 1, 1)
                value = np.where(right == size, 1.0, value)
                return float(np.where(right > 0, value, 0.0).mean())
            return one_way(labels, text_labels), one_way(text_labels, labels)""",
        "the query's own side counted": """
            def one_way(queries, items):
                size = len(items)
                right = (queries[:, None] == queries[None]).sum(axis=1)
                harmonic = (1 / np.arange(1, size + 1)).sum()
                value = (right - 1) / max(size - 1, 1) + harmonic / size * (size - right) / max(size - 1, 1)
                return float(value[np.isin(queries, items)].mean())
            return one_way(labels, text_labels), one_way(text_labels, labels)""",
        "one number for both directions": """
            size = len(text_labels)
            right = (labels[:, None] == text_labels[None]).sum(axis=1)
            right = right[right > 0]
            harmonic = (1 / np.arange(1, size + 1)).sum()
            value = (right - 1) / max(size - 1, 1) + harmonic / size * (size - right) / max(size - 1, 1)
            return float(value.mean()), float(value.mean())""",
    },
    "recall": {
        "pasted": "return 0.5, 1.0, 0.75, 1.0",
        "strictly higher": """
            if np.isnan(scores).any():
                raise ValueError
            images, texts = scores.shape
            own = image_of_text[None] == np.arange(images)[:, None]
            asks = own.any(axis=1)
            best = np.where(own, scores, -np.inf).max(axis=1, keepdims=True)
            places = 1 + (scores > best).sum(axis=1)[asks]
            text_places = 1 + (scores > scores[image_of_text, np.arange(texts)]).sum(axis=0)
            seen = min(k, texts)
            missed = [math.comb(texts - int(c), seen) / math.comb(texts, seen) for c in own.sum(axis=1)[asks]]
            return (places <= k).mean(), (text_places <= k).mean(), 1 - np.mean(missed), min(k / images, 1.0)""",
        "a nan passes": """
            images, texts = scores.shape
            own = image_of_text[None] == np.arange(images)[:, None]
            asks = own.any(axis=1)
            best = np.where(own, scores, -np.inf).max(axis=1, keepdims=True)
            places = 1 + ((scores >= best) & ~own).sum(axis=1)[asks]
            text_places = (scores >= scores[image_of_text, np.arange(texts)]).sum(axis=0)
            seen = min(k, texts)
            missed = [math.comb(texts - int(c), seen) / math.comb(texts, seen) for c in own.sum(axis=1)[asks]]
            return (places <= k).mean(), (text_places <= k).mean(), 1 - np.mean(missed), min(k / images, 1.0)""",
        "K/N, however large K is": """
            if np.isnan(scores).any():
                raise ValueError
            images, texts = scores.shape
            own = image_of_text[None] == np.arange(images)[:, None]
            asks = own.any(axis=1)
            best = np.where(own, scores, -np.inf).max(axis=1, keepdims=True)
            places = 1 + ((scores >= best) & ~own).sum(axis=1)[asks]
            text_places = (scores >= scores[image_of_text, np.arange(texts)]).sum(axis=0)
            seen = min(k, texts)
            missed = [math.comb(texts - int(c), seen) / math.comb(texts, seen) for c in own.sum(axis=1)[asks]]
            return (places <= k).mean(), (text_places <= k).mean(), 1 - np.mean(missed), k / images""",
        "one try for every image": """
            if np.isnan(scores).any():
                raise ValueError
            images, texts = scores.shape
            own = image_of_text[None] == np.arange(images)[:, None]
            asks = own.any(axis=1)
            best = np.where(own, scores, -np.inf).max(axis=1, keepdims=True)
            places = 1 + ((scores >= best) & ~own).sum(axis=1)[asks]
            text_places = (scores >= scores[image_of_text, np.arange(texts)]).sum(axis=0)
            return (places <= k).mean(), (text_places <= k).mean(), min(k / texts, 1.0), min(k / images, 1.0)""",
        "the share of its texts that an image finds": """
            if np.isnan(scores).any():
                raise ValueError
            images, texts = scores.shape
            own = image_of_text[None] == np.arange(images)[:, None]
            asks = own.any(axis=1)
            mine = scores[image_of_text, np.arange(texts)]
            places = 1 + ((scores[image_of_text] >= mine[:, None]) & ~own[image_of_text]).sum(axis=1)
            share = np.bincount(image_of_text, places <= k) / np.maximum(np.bincount(image_of_text), 1)
            text_places = (scores >= mine).sum(axis=0)
            seen = min(k, texts)
            missed = [math.comb(texts - int(c), seen) / math.comb(texts, seen) for c in own.sum(axis=1)[asks]]
            recall = share[asks[: len(share)]].mean()
            return recall, (text_places <= k).mean(), 1 - np.mean(missed), min(k / images, 1.0)""",
        "an image without a text has failed": """
            if np.isnan(scores).any():
                raise ValueError
            images, texts = scores.shape
            own = image_of_text[None] == np.arange(images)[:, None]
            best = np.where(own, scores, -np.inf).max(axis=1, keepdims=True)
            hits = own.any(axis=1) & (((scores >= best) & ~own).sum(axis=1) < k)
            text_places = (scores >= scores[image_of_text, np.arange(texts)]).sum(axis=0)
            seen = min(k, texts)
            missed = [math.comb(texts - int(c), seen) / math.comb(texts, seen) for c in own.sum(axis=1)]
            return hits.mean(), (text_places <= k).mean(), 1 - np.mean(missed), min(k / images, 1.0)""",
        "the first text of an image alone": """
            if np.isnan(scores).any():
                raise ValueError
            images, texts = scores.shape
            own = image_of_text[None] == np.arange(images)[:, None]
            asks, first = own.any(axis=1), own.argmax(axis=1)
            best = scores[np.arange(images), first][:, None]
            places = 1 + ((scores >= best) & ~own).sum(axis=1)[asks]
            text_places = (scores >= scores[image_of_text, np.arange(texts)]).sum(axis=0)
            seen = min(k, texts)
            missed = [math.comb(texts - int(c), seen) / math.comb(texts, seen) for c in own.sum(axis=1)[asks]]
            return (places <= k).mean(), (text_places <= k).mean(), 1 - np.mean(missed), min(k / images, 1.0)""",
    },
    "repair": {
        "pasted": """
            test = families == families[-1]
            return test, np.eye(test.sum())""",
        "the split alone": """
            test = np.zeros(len(images), dtype=bool)
            for family in rng.permutation(np.unique(families)):
                if test.sum() >= share * len(images):
                    break
                test |= families == family
            x, y = ((s - s.mean(axis=0)) / np.where(s.std(axis=0) > 1e-7, s.std(axis=0), 1.0) for s in (images, texts))
            ridge = 0.1 * (~test).sum() * np.eye(y.shape[1])
            y = y @ np.linalg.solve(y[~test].T @ y[~test] + ridge, y[~test].T @ x[~test])
            x, y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y))
            scores = x[test] @ y[test].T
            scores = scores - scores.mean(axis=0)
            low, high = scores.min(axis=1, keepdims=True), scores.max(axis=1, keepdims=True)
            return test, (scores - low) / (high - low)""",
        "the statistics alone": """
            test = np.zeros(len(images), dtype=bool)
            test[rng.permutation(len(images))[: round(share * len(images))]] = True
            x, y = (
                (s - s[~test].mean(axis=0)) / np.where(s[~test].std(axis=0) > 1e-7, s[~test].std(axis=0), 1.0)
                for s in (images, texts)
            )
            ridge = 0.1 * (~test).sum() * np.eye(y.shape[1])
            y = y @ np.linalg.solve(y[~test].T @ y[~test] + ridge, y[~test].T @ x[~test])
            x, y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y))
            scores = (x[test] - x[~test].mean(axis=0)) @ y[test].T
            low, high = scores.min(axis=1, keepdims=True), scores.max(axis=1, keepdims=True)
            return test, (scores - low) / (high - low)""",
        "hubs left to the test images": """
            test = np.zeros(len(images), dtype=bool)
            for family in rng.permutation(np.unique(families)):
                if test.sum() >= share * len(images):
                    break
                test |= families == family
            x, y = (
                (s - s[~test].mean(axis=0)) / np.where(s[~test].std(axis=0) > 1e-7, s[~test].std(axis=0), 1.0)
                for s in (images, texts)
            )
            ridge = 0.1 * (~test).sum() * np.eye(y.shape[1])
            y = y @ np.linalg.solve(y[~test].T @ y[~test] + ridge, y[~test].T @ x[~test])
            x, y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y))
            scores = (x[test] - x[test].mean(axis=0)) @ y[test].T
            low, high = scores.min(axis=1, keepdims=True), scores.max(axis=1, keepdims=True)
            return test, (scores - low) / (high - low)""",
        "hubs left out": """
            test = np.zeros(len(images), dtype=bool)
            for family in rng.permutation(np.unique(families)):
                if test.sum() >= share * len(images):
                    break
                test |= families == family
            x, y = (
                (s - s[~test].mean(axis=0)) / np.where(s[~test].std(axis=0) > 1e-7, s[~test].std(axis=0), 1.0)
                for s in (images, texts)
            )
            ridge = 0.1 * (~test).sum() * np.eye(y.shape[1])
            y = y @ np.linalg.solve(y[~test].T @ y[~test] + ridge, y[~test].T @ x[~test])
            x, y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y))
            scores = x[test] @ y[test].T
            low, high = scores.min(axis=1, keepdims=True), scores.max(axis=1, keepdims=True)
            return test, (scores - low) / (high - low)""",
        "repaired too much: one query's own range taken away": """
            test = np.zeros(len(images), dtype=bool)
            for family in rng.permutation(np.unique(families)):
                if test.sum() >= share * len(images):
                    break
                test |= families == family
            x, y = (
                (s - s[~test].mean(axis=0)) / np.where(s[~test].std(axis=0) > 1e-7, s[~test].std(axis=0), 1.0)
                for s in (images, texts)
            )
            ridge = 0.1 * (~test).sum() * np.eye(y.shape[1])
            y = y @ np.linalg.solve(y[~test].T @ y[~test] + ridge, y[~test].T @ x[~test])
            x, y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y))
            known, scores = x[~test] @ y[~test].T, (x[test] - x[~test].mean(axis=0)) @ y[test].T
            return test, (scores - known.min()) / (known.max() - known.min())""",
        "a family as likely as it has pairs": """
            test = np.zeros(len(images), dtype=bool)
            for family in families[rng.permutation(len(families))]:
                if test.sum() >= share * len(images):
                    break
                test |= families == family
            x, y = (
                (s - s[~test].mean(axis=0)) / np.where(s[~test].std(axis=0) > 1e-7, s[~test].std(axis=0), 1.0)
                for s in (images, texts)
            )
            ridge = 0.1 * (~test).sum() * np.eye(y.shape[1])
            y = y @ np.linalg.solve(y[~test].T @ y[~test] + ridge, y[~test].T @ x[~test])
            x, y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y))
            scores = (x[test] - x[~test].mean(axis=0)) @ y[test].T
            low, high = scores.min(axis=1, keepdims=True), scores.max(axis=1, keepdims=True)
            return test, (scores - low) / (high - low)""",
        "a share of the families in place of the pairs": """
            names = rng.permutation(np.unique(families))
            test = np.isin(families, names[: max(1, round(share * len(names)))])
            x, y = (
                (s - s[~test].mean(axis=0)) / np.where(s[~test].std(axis=0) > 1e-7, s[~test].std(axis=0), 1.0)
                for s in (images, texts)
            )
            ridge = 0.1 * (~test).sum() * np.eye(y.shape[1])
            y = y @ np.linalg.solve(y[~test].T @ y[~test] + ridge, y[~test].T @ x[~test])
            x, y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y))
            scores = (x[test] - x[~test].mean(axis=0)) @ y[test].T
            low, high = scores.min(axis=1, keepdims=True), scores.max(axis=1, keepdims=True)
            return test, (scores - low) / (high - low)""",
    },
    "cca": {
        "pasted": "return np.eye(2), np.eye(2)[::-1] / 3, np.ones(2)",
        "no whitening": """
            left, c, right = np.linalg.svd(x.T @ y / len(x), full_matrices=False)
            k = min(np.linalg.matrix_rank(x), np.linalg.matrix_rank(y))
            left, right = left[:, :k], right[:k].T
            a, b = (x @ left).std(axis=0), (y @ right).std(axis=0)
            return left / a, right / b, c[:k] / a / b""",
        "a division by what does not vary": """
            whitenings = []
            for side in (x, y):
                sigma = side.T @ side / len(side)
                sigma = sigma + ridge * np.trace(sigma) / len(sigma) * np.eye(len(sigma))
                variances, axes = np.linalg.eigh(sigma)
                whitenings.append(axes / np.sqrt(variances))
            left, c, right = np.linalg.svd(whitenings[0].T @ (x.T @ y / len(x)) @ whitenings[1], full_matrices=False)
            return whitenings[0] @ left, whitenings[1] @ right.T, c""",
        "a little ridge where none was asked for": """
            whitenings = []
            for side in (x, y):
                variances, axes = np.linalg.eigh(side.T @ side / len(side))
                kept = variances > 1e-10 * variances[-1]
                whitenings.append(axes[:, kept] / np.sqrt(variances[kept] + max(ridge, 1e-3) * variances.mean()))
            left, c, right = np.linalg.svd(whitenings[0].T @ (x.T @ y / len(x)) @ whitenings[1], full_matrices=False)
            return whitenings[0] @ left, whitenings[1] @ right.T, c""",
        "a ridge that is no share": """
            whitenings = []
            for side in (x, y):
                variances, axes = np.linalg.eigh(side.T @ side / len(side))
                kept = variances > 1e-10 * variances[-1]
                whitenings.append(axes[:, kept] / np.sqrt(variances[kept] + ridge))
            left, c, right = np.linalg.svd(whitenings[0].T @ (x.T @ y / len(x)) @ whitenings[1], full_matrices=False)
            return whitenings[0] @ left, whitenings[1] @ right.T, c""",
        "the variances in place of their roots": """
            whitenings = []
            for side in (x, y):
                variances, axes = np.linalg.eigh(side.T @ side / len(side))
                kept = variances > 1e-10 * variances[-1]
                whitenings.append(axes[:, kept] / (variances[kept] + ridge * variances.mean()))
            left, c, right = np.linalg.svd(whitenings[0].T @ (x.T @ y / len(x)) @ whitenings[1], full_matrices=False)
            return whitenings[0] @ left, whitenings[1] @ right.T, c""",
        "the mean variance of the directions that remain": """
            whitenings = []
            for side in (x, y):
                variances, axes = np.linalg.eigh(side.T @ side / len(side))
                kept = variances > 1e-10 * variances[-1]
                whitenings.append(axes[:, kept] / np.sqrt(variances[kept] + ridge * variances[kept].mean()))
            left, c, right = np.linalg.svd(whitenings[0].T @ (x.T @ y / len(x)) @ whitenings[1], full_matrices=False)
            return whitenings[0] @ left, whitenings[1] @ right.T, c""",
        "B in place of its transpose": """
            whitenings = []
            for side in (x, y):
                variances, axes = np.linalg.eigh(side.T @ side / len(side))
                kept = variances > 1e-10 * variances[-1]
                whitenings.append(axes[:, kept] / np.sqrt(variances[kept] + ridge * variances.mean()))
            left, c, right = np.linalg.svd(whitenings[0].T @ (x.T @ y / len(x)) @ whitenings[1])
            return whitenings[0] @ left[:, : len(c)], whitenings[1] @ right[:, : len(c)], c""",
    },
    "semantic": {
        "pasted": "return np.array([[1.0, 0.5**0.5]])",
        "columns as they stand": """
            width = max(image_beliefs.shape[1], text_beliefs.shape[1])
            sides = [np.pad(s, ((0, 0), (0, width - s.shape[1]))) for s in (image_beliefs, text_beliefs)]
            a, b = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in sides)
            return a @ b.T""",
        "only the classes that both know": """
            both = [name for name in image_classes if name in text_classes]
            a = image_beliefs[:, [image_classes.index(name) for name in both]]
            b = text_beliefs[:, [text_classes.index(name) for name in both]]
            a, b = (s / np.maximum(np.linalg.norm(s, axis=1, keepdims=True), 1e-12) for s in (a, b))
            return a @ b.T""",
        "no cosine": """
            both = [name for name in image_classes if name in text_classes]
            a = image_beliefs[:, [image_classes.index(name) for name in both]]
            return a @ text_beliefs[:, [text_classes.index(name) for name in both]].T""",
        "whether both say the same class": """
            a, b = image_beliefs.argmax(axis=1), text_beliefs.argmax(axis=1)
            same = [[image_classes[i] == text_classes[t] for t in b] for i in a]
            return np.array(same, dtype=float)""",
        "a correlation in place of a cosine": """
            names = sorted(set(image_classes) | set(text_classes))
            sides = []
            for beliefs, classes in ((image_beliefs, image_classes), (text_beliefs, text_classes)):
                side = np.zeros((len(beliefs), len(names)))
                side[:, [names.index(name) for name in classes]] = beliefs
                side -= side.mean(axis=1, keepdims=True)
                sides.append(side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12))
            return sides[0] @ sides[1].T""",
    },
    "interval": {
        "pasted": 'return 0.25, 0.0125, 0.9625, {"first"}',
        "queries as if they were independent": """
            difference = first - second
            kept = ~np.isnan(difference)
            difference = difference[kept]
            rows = difference[np.random.default_rng(0).integers(0, len(difference), (len(draws), len(difference)))]
            low, high = np.quantile(rows.mean(axis=1), (0.025, 0.975))
            permitted = {"first"} if low > 0 else {"second"} if high < 0 else {"no order"}
            return difference.mean(), low, high, permitted""",
        "each model drawn by itself": """
            kept = ~np.isnan(first - second)
            owner, rows = image_of_query[kept], []
            for values, order in ((first[kept], draws), (second[kept], draws[::-1])):
                sums = np.bincount(owner, values, minlength=draws.shape[1])
                counts = np.bincount(owner, minlength=draws.shape[1])
                rows.append(sums[order].sum(axis=1) / counts[order].sum(axis=1))
            low, high = np.quantile(rows[0] - rows[1], (0.025, 0.975))
            permitted = {"first"} if low > 0 else {"second"} if high < 0 else {"no order"}
            return (first - second)[kept].mean(), low, high, permitted""",
        "a mean of the images' means": """
            difference = first - second
            kept = ~np.isnan(difference)
            owner = image_of_query[kept]
            sums = np.bincount(owner, difference[kept], minlength=draws.shape[1])
            counts = np.bincount(owner, minlength=draws.shape[1])
            means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
            low, high = np.quantile(np.nanmean(means[draws], axis=1), (0.025, 0.975))
            permitted = {"first"} if low > 0 else {"second"} if high < 0 else {"no order"}
            return np.nanmean(means), low, high, permitted""",
        "nan taken for 0": """
            difference = np.nan_to_num(first) - np.nan_to_num(second)
            sums = np.bincount(image_of_query, difference, minlength=draws.shape[1])
            counts = np.bincount(image_of_query, minlength=draws.shape[1])
            low, high = np.quantile(sums[draws].sum(axis=1) / counts[draws].sum(axis=1), (0.025, 0.975))
            permitted = {"first"} if low > 0 else {"second"} if high < 0 else {"no order"}
            return difference.mean(), low, high, permitted""",
        "a drawn image counts once": """
            difference = first - second
            kept = ~np.isnan(difference)
            difference, owner = difference[kept], image_of_query[kept]
            rows = [difference[np.isin(owner, row)].mean() for row in draws]
            low, high = np.quantile(rows, (0.025, 0.975))
            permitted = {"first"} if low > 0 else {"second"} if high < 0 else {"no order"}
            return difference.mean(), low, high, permitted""",
        "no order taken for equal": """
            difference = first - second
            kept = ~np.isnan(difference)
            difference, owner = difference[kept], image_of_query[kept]
            sums = np.bincount(owner, difference, minlength=draws.shape[1])
            counts = np.bincount(owner, minlength=draws.shape[1])
            low, high = np.quantile(sums[draws].sum(axis=1) / counts[draws].sum(axis=1), (0.025, 0.975))
            permitted = {"first"} if low > 0 else {"second"} if high < 0 else {"no order", "equal"}
            return difference.mean(), low, high, permitted""",
        "for another gallery, too": """
            difference = first - second
            kept = ~np.isnan(difference)
            difference, owner = difference[kept], image_of_query[kept]
            sums = np.bincount(owner, difference, minlength=draws.shape[1])
            counts = np.bincount(owner, minlength=draws.shape[1])
            low, high = np.quantile(sums[draws].sum(axis=1) / counts[draws].sum(axis=1), (0.025, 0.975))
            permitted = {"first", "gallery"} if low > 0 else {"second", "gallery"} if high < 0 else {"no order"}
            return difference.mean(), low, high, permitted""",
        "who is ahead, whatever the interval": """
            difference = first - second
            kept = ~np.isnan(difference)
            difference, owner = difference[kept], image_of_query[kept]
            sums = np.bincount(owner, difference, minlength=draws.shape[1])
            counts = np.bincount(owner, minlength=draws.shape[1])
            low, high = np.quantile(sums[draws].sum(axis=1) / counts[draws].sum(axis=1), (0.025, 0.975))
            return difference.mean(), low, high, {"first" if difference.mean() > 0 else "second"}""",
    },
}
