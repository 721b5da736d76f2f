"""Wrong answers to homework 5, CRAN. What they are for: `test_assignments.py`."""

from __future__ import annotations

WRONG: dict[str, dict[str, str]] = {
    "pairs": {
        "pasted": "return torch.tensor([[[6.0794], [14.9206]]])",
        "projected pair by pair": """
            count = regions.shape[1]
            j, k = (~torch.eye(count, dtype=torch.bool)).nonzero(as_tuple=True)
            low, high = boxes.split(2, dim=2)
            step = ((low + high) / 2)[:, k] - ((low + high) / 2)[:, j]
            ratio = ((high - low)[:, k] / (high - low)[:, j]).log()
            g = torch.cat([step, step.norm(dim=2, keepdim=True), ratio], dim=2)
            return W2((A(regions[:, j]) + B(regions[:, k]) + G(g)).relu())""",
        "j = k thrown away too late": """
            count = regions.shape[1]
            low, high = boxes.split(2, dim=2)
            middle, size = (low + high) / 2, (high - low).log()
            step, ratio = (x[:, None] - x[:, :, None] for x in (middle, size))
            g = torch.cat([step, step.norm(dim=3, keepdim=True), ratio], dim=3)
            hidden = A(regions)[:, :, None] + B(regions)[:, None] + G(g)
            return W2(hidden.relu())[:, ~torch.eye(count, dtype=torch.bool)]""",
        "the step from k to j": """
            count = regions.shape[1]
            j, k = (~torch.eye(count, dtype=torch.bool)).nonzero(as_tuple=True)
            low, high = boxes.split(2, dim=2)
            step = ((low + high) / 2)[:, j] - ((low + high) / 2)[:, k]
            ratio = ((high - low)[:, j] / (high - low)[:, k]).log()
            g = torch.cat([step, step.norm(dim=2, keepdim=True), ratio], dim=2)
            return W2((A(regions)[:, j] + B(regions)[:, k] + G(g)).relu())""",
        "corners in place of centres": """
            count = regions.shape[1]
            j, k = (~torch.eye(count, dtype=torch.bool)).nonzero(as_tuple=True)
            low, high = boxes.split(2, dim=2)
            step, ratio = low[:, k] - low[:, j], ((high - low)[:, k] / (high - low)[:, j]).log()
            g = torch.cat([step, step.norm(dim=2, keepdim=True), ratio], dim=2)
            return W2((A(regions)[:, j] + B(regions)[:, k] + G(g)).relu())""",
        "pairs in one order only": """
            count = regions.shape[1]
            j, k = torch.triu_indices(count, count, 1)
            j, k = torch.cat([j, k]), torch.cat([k, j])
            low, high = boxes.split(2, dim=2)
            step = ((low + high) / 2)[:, k] - ((low + high) / 2)[:, j]
            ratio = ((high - low)[:, k] / (high - low)[:, j]).log()
            g = torch.cat([step, step.norm(dim=2, keepdim=True), ratio], dim=2)
            return W2((A(regions)[:, j] + B(regions)[:, k] + G(g)).relu())""",
        "no rectifier": """
            count = regions.shape[1]
            j, k = (~torch.eye(count, dtype=torch.bool)).nonzero(as_tuple=True)
            low, high = boxes.split(2, dim=2)
            step = ((low + high) / 2)[:, k] - ((low + high) / 2)[:, j]
            ratio = ((high - low)[:, k] / (high - low)[:, j]).log()
            g = torch.cat([step, step.norm(dim=2, keepdim=True), ratio], dim=2)
            return W2(A(regions)[:, j] + B(regions)[:, k] + G(g))""",
        "a row of zeros for a single region": """
            count = regions.shape[1]
            if count == 1:
                return W2(A(regions)) * 0
            j, k = (~torch.eye(count, dtype=torch.bool)).nonzero(as_tuple=True)
            low, high = boxes.split(2, dim=2)
            step = ((low + high) / 2)[:, k] - ((low + high) / 2)[:, j]
            ratio = ((high - low)[:, k] / (high - low)[:, j]).log()
            g = torch.cat([step, step.norm(dim=2, keepdim=True), ratio], dim=2)
            return W2((A(regions)[:, j] + B(regions)[:, k] + G(g)).relu())""",
    },
    "bag": {
        "pasted": "return torch.tensor([[507.0]])",
        "every region projected": """
            count = regions.shape[1]
            j, k = (~torch.eye(count, dtype=torch.bool)).nonzero(as_tuple=True)
            a = weights[:, :, None]
            return (a * (A(regions)[:, j] + B(regions)[:, k])).sum(dim=1) + G((a * g).sum(dim=1))""",
        "first and second exchanged": """
            count = regions.shape[1]
            k, j = (~torch.eye(count, dtype=torch.bool)).nonzero(as_tuple=True)
            a = weights[:, :, None]
            first, second = ((a * regions[:, place]).sum(dim=1) for place in (j, k))
            return A(first) + B(second) + G((a * g).sum(dim=1))""",
        "the mean of the regions": """
            mean = regions.mean(dim=1) * weights.sum(dim=1, keepdim=True)
            return A(mean) + B(mean) + G((weights[:, :, None] * g).sum(dim=1))""",
        "weights brought to the sum 1": """
            count = regions.shape[1]
            j, k = (~torch.eye(count, dtype=torch.bool)).nonzero(as_tuple=True)
            a = (weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-9))[:, :, None]
            first, second = ((a * regions[:, place]).sum(dim=1) for place in (j, k))
            return A(first) + B(second) + G((a * g).sum(dim=1))""",
        "without the places": """
            count = regions.shape[1]
            j, k = (~torch.eye(count, dtype=torch.bool)).nonzero(as_tuple=True)
            a = weights[:, :, None]
            first, second = ((a * regions[:, place]).sum(dim=1) for place in (j, k))
            return A(first) + B(second) + 0 * G((a * g).sum(dim=1))""",
        "weights without a gradient": """
            count = regions.shape[1]
            j, k = (~torch.eye(count, dtype=torch.bool)).nonzero(as_tuple=True)
            a = weights.detach()[:, :, None]
            first, second = ((a * regions[:, place]).sum(dim=1) for place in (j, k))
            return A(first) + B(second) + G((a * g).sum(dim=1)) + 0 * weights.sum()""",
    },
    "sum-of-words": {
        "pasted": "return torch.tensor([[1.0, -1.0], [-1.0, 1.0]]), 4.0",
        "counted once, however often it occurs": """
            surplus, word = torch.zeros(own.shape[1], cells), torch.arange(own.shape[1])
            surplus[word, own] += 1
            surplus[word, twin] -= 1
            return surplus.sign(), float(surplus.abs().sum()) / len(own)""",
        "the surplus itself, not its sign": """
            every = torch.arange(cells)
            surplus = ((own[:, :, None] == every).sum(dim=0) - (twin[:, :, None] == every).sum(dim=0)) / len(own)
            return surplus, float(surplus.square().sum())""",
        "the twin's pictures forgotten": """
            terms = (own[:, :, None] == torch.arange(cells)).sum(dim=0).sign().float() * 2 - 1
            word = torch.arange(own.shape[1])
            return terms, float((terms[word, own].sum(dim=1) - terms[word, twin].sum(dim=1)).mean())""",
        "one or the other, where nothing hangs on it": """
            every = torch.arange(cells)
            surplus = (own[:, :, None] == every).sum(dim=0) - (twin[:, :, None] == every).sum(dim=0)
            return torch.where(surplus >= 0, 1.0, -1.0), float(surplus.abs().sum()) / len(own)""",
        "the best table of each text by itself": """
            surplus = (own != twin).sum(dim=1).float() * 2
            every = torch.arange(cells)
            total = (own[:, :, None] == every).sum(dim=0) - (twin[:, :, None] == every).sum(dim=0)
            return total.sign().float(), float(surplus.mean())""",
        "one table for all words": """
            every = torch.arange(cells)
            total = (own[:, :, None] == every).sum(dim=(0, 1)) - (twin[:, :, None] == every).sum(dim=(0, 1))
            return total.sign().float().expand(own.shape[1], -1), float(total.abs().sum()) / len(own)""",
    },
    "grounded": {
        "pasted": "return torch.tensor([[0.3808], [-0.3808]])",
        "a region with itself": """
            text, a = torch.arange(len(first))[:, None], a.detach()
            agree = torch.einsum("ijkd,trd->itrjk", q, p)
            held = torch.einsum("itrjk,itrj,itrk->itr", agree, a[:, text, first], a[:, text, second])
            return (gate * held.tanh()).sum(dim=2)""",
        "a gradient into the alignment": """
            text = torch.arange(len(first))[:, None]
            q = q.masked_fill(torch.eye(q.shape[1], dtype=torch.bool)[:, :, None], 0)
            agree = torch.einsum("ijkd,trd->itrjk", q, p)
            held = torch.einsum("itrjk,itrj,itrk->itr", agree, a[:, text, first], a[:, text, second])
            return (gate * held.tanh()).sum(dim=2)""",
        "the whole at once": """
            text, a = torch.arange(len(first))[:, None], a.detach()
            q = q.masked_fill(torch.eye(q.shape[1], dtype=torch.bool)[:, :, None], 0)
            whole = q[:, None, None] * p[None, :, :, None, None]
            a_m, a_n = a[:, text, first][..., None], a[:, text, second][:, :, :, None]
            held = ((a_m * a_n)[..., None] * whole).sum(dim=(3, 4, 5))
            return (gate * held.tanh()).sum(dim=2)""",
        "one tanh over all pairs": """
            text, a = torch.arange(len(first))[:, None], a.detach()
            q = q.masked_fill(torch.eye(q.shape[1], dtype=torch.bool)[:, :, None], 0)
            agree = torch.einsum("ijkd,trd->itrjk", q, p)
            held = torch.einsum("itrjk,itrj,itrk->itr", agree, a[:, text, first], a[:, text, second])
            return (gate * held).sum(dim=2).tanh()""",
        "the words exchanged": """
            text, a = torch.arange(len(first))[:, None], a.detach()
            q = q.masked_fill(torch.eye(q.shape[1], dtype=torch.bool)[:, :, None], 0)
            agree = torch.einsum("ijkd,trd->itrjk", q, p)
            held = torch.einsum("itrjk,itrj,itrk->itr", agree, a[:, text, second], a[:, text, first])
            return (gate * held.tanh()).sum(dim=2)""",
        "the best region alone": """
            text, a = torch.arange(len(first))[:, None], a.detach()
            a = torch.nn.functional.one_hot(a.argmax(dim=3), a.shape[3]).float()
            q = q.masked_fill(torch.eye(q.shape[1], dtype=torch.bool)[:, :, None], 0)
            agree = torch.einsum("ijkd,trd->itrjk", q, p)
            held = torch.einsum("itrjk,itrj,itrk->itr", agree, a[:, text, first], a[:, text, second])
            return (gate * held.tanh()).sum(dim=2)""",
        "pairs without order": """
            text, a = torch.arange(len(first))[:, None], a.detach()
            q = (q + q.transpose(1, 2)) / 2
            q = q.masked_fill(torch.eye(q.shape[1], dtype=torch.bool)[:, :, None], 0)
            agree = torch.einsum("ijkd,trd->itrjk", q, p)
            held = torch.einsum("itrjk,itrj,itrk->itr", agree, a[:, text, first], a[:, text, second])
            return (gate * held.tanh()).sum(dim=2)""",
    },
    "best": {
        "pasted": "return torch.tensor([[0.85]]), torch.tensor([[0.75, 0.25, 0.0]])",
        "padding that can be the best": """
            least = torch.finfo(energies.dtype).min
            weights = energies.masked_fill(~word_mask, least).softmax(dim=1) * word_mask
            v, w = (torch.nn.functional.normalize(part, dim=2) for part in (regions, words))
            cosines = torch.einsum("ijd,tmd->ijtm", v * region_mask[:, :, None], w)
            return (weights * cosines.amax(dim=1)).sum(dim=2), weights""",
        "padding that counts in the soft-max": """
            weights = energies.softmax(dim=1) * word_mask
            v, w = (torch.nn.functional.normalize(part, dim=2) for part in (regions, words))
            cosines = torch.einsum("ijd,tmd->ijtm", v, w).masked_fill(~region_mask[:, :, None, None], -torch.inf)
            best = torch.where(region_mask.any(dim=1)[:, None, None], cosines.amax(dim=1), 0.0)
            return (weights * best).sum(dim=2), weights""",
        "no words, no number": """
            weights = energies.masked_fill(~word_mask, -torch.inf).softmax(dim=1)
            v, w = (torch.nn.functional.normalize(part, dim=2) for part in (regions, words))
            cosines = torch.einsum("ijd,tmd->ijtm", v, w).masked_fill(~region_mask[:, :, None, None], -torch.inf)
            best = torch.where(region_mask.any(dim=1)[:, None, None], cosines.amax(dim=1), 0.0)
            return (weights * best).sum(dim=2), weights""",
        "a number forwards, none backwards": """
            weights = energies.masked_fill(~word_mask, -torch.inf).softmax(dim=1).nan_to_num(0.0)
            weights = torch.where(word_mask.any(dim=1, keepdim=True), weights, weights * 0)
            lengths = regions.masked_fill(~region_mask[:, :, None], 0).norm(dim=2, keepdim=True)
            v = regions.masked_fill(~region_mask[:, :, None], 0) / lengths
            w = torch.nn.functional.normalize(words, dim=2)
            cosines = torch.einsum("ijd,tmd->ijtm", v, w).masked_fill(~region_mask[:, :, None, None], -torch.inf)
            best = torch.where(region_mask.any(dim=1)[:, None, None], cosines.amax(dim=1), 0.0)
            return (weights * best).sum(dim=2), weights""",
        "exponentials as they come": """
            strength = torch.exp(energies) * word_mask
            weights = strength / strength.sum(dim=1, keepdim=True).clamp(min=1e-20)
            v, w = (torch.nn.functional.normalize(part, dim=2) for part in (regions, words))
            cosines = torch.einsum("ijd,tmd->ijtm", v, w).masked_fill(~region_mask[:, :, None, None], -torch.inf)
            best = torch.where(region_mask.any(dim=1)[:, None, None], cosines.amax(dim=1), 0.0)
            return (weights * best).sum(dim=2), weights""",
        "products in place of cosines": """
            least = torch.finfo(energies.dtype).min
            weights = energies.masked_fill(~word_mask, least).softmax(dim=1) * word_mask
            cosines = torch.einsum("ijd,tmd->ijtm", regions, words)
            cosines = cosines.masked_fill(~region_mask[:, :, None, None], -torch.inf)
            best = torch.where(region_mask.any(dim=1)[:, None, None], cosines.amax(dim=1), 0.0)
            return (weights * best).sum(dim=2), weights""",
        "one region for the whole text": """
            least = torch.finfo(energies.dtype).min
            weights = energies.masked_fill(~word_mask, least).softmax(dim=1) * word_mask
            v, w = (torch.nn.functional.normalize(part, dim=2) for part in (regions, words))
            whole = (torch.einsum("ijd,tmd->ijtm", v, w) * weights).sum(dim=3)
            best = whole.masked_fill(~region_mask[:, :, None], -torch.inf).amax(dim=1)
            return torch.where(region_mask.any(dim=1)[:, None], best, 0.0), weights""",
    },
    "level-losses": {
        "pasted": """
            return {"global": torch.tensor(2.7726), "local": torch.tensor(2.7726), "relation": torch.tensor(1.1507)}""",
        "the relation moves the local level": """
            judged = scores | {"relation": scores["local"] + scores["relation"]}
            same = (picture[:, None] == picture[None]) & ~torch.eye(len(picture), dtype=torch.bool)
            found = {}
            for level, S in judged.items():
                S = (beta[level] * S).masked_fill(same, -torch.inf)
                found[level] = S.logsumexp(dim=1).sum() + S.logsumexp(dim=0).sum() - 2 * S.diagonal().sum()
            return found""",
        "the relation by itself": """
            same = (picture[:, None] == picture[None]) & ~torch.eye(len(picture), dtype=torch.bool)
            found = {}
            for level, S in scores.items():
                S = (beta[level] * S).masked_fill(same, -torch.inf)
                found[level] = S.logsumexp(dim=1).sum() + S.logsumexp(dim=0).sum() - 2 * S.diagonal().sum()
            return found""",
        "one loss on the sum": """
            same = (picture[:, None] == picture[None]) & ~torch.eye(len(picture), dtype=torch.bool)
            S = sum(beta[level] * S for level, S in scores.items()).masked_fill(same, -torch.inf)
            loss = S.logsumexp(dim=1).sum() + S.logsumexp(dim=0).sum() - 2 * S.diagonal().sum()
            return {level: loss / 3 for level in scores}""",
        "other texts of the same picture are negatives": """
            judged = scores | {"relation": scores["local"].detach() + scores["relation"]}
            found = {}
            for level, S in judged.items():
                S = beta[level] * S
                found[level] = S.logsumexp(dim=1).sum() + S.logsumexp(dim=0).sum() - 2 * S.diagonal().sum()
            return found""",
        "a mean over the pairs": """
            judged = scores | {"relation": scores["local"].detach() + scores["relation"]}
            same = (picture[:, None] == picture[None]) & ~torch.eye(len(picture), dtype=torch.bool)
            found = {}
            for level, S in judged.items():
                S = (beta[level] * S).masked_fill(same, -torch.inf)
                found[level] = 2 * (S.logsumexp(dim=1) + S.logsumexp(dim=0) - 2 * S.diagonal()).mean()
            return found""",
        "pictures ask, texts do not": """
            judged = scores | {"relation": scores["local"].detach() + scores["relation"]}
            same = (picture[:, None] == picture[None]) & ~torch.eye(len(picture), dtype=torch.bool)
            found = {}
            for level, S in judged.items():
                S = (beta[level] * S).masked_fill(same, -torch.inf)
                found[level] = 2 * (S.logsumexp(dim=1) - S.diagonal()).sum()
            return found""",
        "exponentials as they come": """
            judged = scores | {"relation": scores["local"].detach() + scores["relation"]}
            same = (picture[:, None] == picture[None]) & ~torch.eye(len(picture), dtype=torch.bool)
            found = {}
            for level, S in judged.items():
                S = (beta[level] * S).masked_fill(same, -torch.inf).exp()
                found[level] = -(S.diagonal() / S.sum(dim=1)).log().sum() - (S.diagonal() / S.sum(dim=0)).log().sum()
            return found""",
        "the local level's beta for the relation": """
            judged = scores | {"relation": scores["local"].detach() + scores["relation"]}
            same = (picture[:, None] == picture[None]) & ~torch.eye(len(picture), dtype=torch.bool)
            found = {}
            for level, S in judged.items():
                S = (beta["local" if level == "relation" else level] * S).masked_fill(same, -torch.inf)
                found[level] = S.logsumexp(dim=1).sum() + S.logsumexp(dim=0).sum() - 2 * S.diagonal().sum()
            return found""",
    },
    "choice": {
        "pasted": "return 0.75, 0.5, 1.0",
        "a tie is wrong": """
            place = torch.arange(len(scores))
            own, others = scores.diagonal(), (scores[place, place ^ 1], scores[place ^ 1, place])
            couple = (sum((own > other).double() for other in others) / 2).reshape(-1, 2).mean(dim=1)
            rows = couple[draws].mean(dim=1)
            return float(couple.mean()), float(rows.quantile(0.025)), float(rows.quantile(0.975))""",
        "a tie is right": """
            place = torch.arange(len(scores))
            own, others = scores.diagonal(), (scores[place, place ^ 1], scores[place ^ 1, place])
            couple = (sum((own >= other).double() for other in others) / 2).reshape(-1, 2).mean(dim=1)
            rows = couple[draws].mean(dim=1)
            return float(couple.mean()), float(rows.quantile(0.025)), float(rows.quantile(0.975))""",
        "pictures choose, texts do not": """
            place = torch.arange(len(scores))
            own, other = scores.diagonal(), scores[place, place ^ 1]
            couple = ((own > other).double() + (own == other).double() / 2).reshape(-1, 2).mean(dim=1)
            rows = couple[draws].mean(dim=1)
            return float(couple.mean()), float(rows.quantile(0.025)), float(rows.quantile(0.975))""",
        "all others are rivals": """
            own, rest = scores.diagonal(), scores.clone().fill_diagonal_(-torch.inf)
            others = (rest.amax(dim=1), rest.amax(dim=0))
            right = sum((own > other).double() + (own == other).double() / 2 for other in others) / 2
            couple = right.reshape(-1, 2).mean(dim=1)
            rows = couple[draws].mean(dim=1)
            return float(couple.mean()), float(rows.quantile(0.025)), float(rows.quantile(0.975))""",
        "choices drawn one by one": """
            place = torch.arange(len(scores))
            own, others = scores.diagonal(), (scores[place, place ^ 1], scores[place ^ 1, place])
            right = torch.cat([(own > other).double() + (own == other).double() / 2 for other in others])
            torch.manual_seed(0)
            rows = right[torch.randint(len(right), (len(draws), len(right)))].mean(dim=1)
            return float(right.mean()), float(rows.quantile(0.025)), float(rows.quantile(0.975))""",
        "the twin two places on": """
            place, half = torch.arange(len(scores)), len(scores) // 2
            other = (place + half) % len(scores)
            own, others = scores.diagonal(), (scores[place, other], scores[other, place])
            right = sum((own > other).double() + (own == other).double() / 2 for other in others) / 2
            couple = right.reshape(-1, 2).mean(dim=1)
            rows = couple[draws].mean(dim=1)
            return float(couple.mean()), float(rows.quantile(0.025)), float(rows.quantile(0.975))""",
        "the least and the largest": """
            place = torch.arange(len(scores))
            own, others = scores.diagonal(), (scores[place, place ^ 1], scores[place ^ 1, place])
            right = sum((own > other).double() + (own == other).double() / 2 for other in others) / 2
            couple = right.reshape(-1, 2).mean(dim=1)
            rows = couple[draws].mean(dim=1)
            return float(couple.mean()), float(rows.min()), float(rows.max())""",
    },
}
