"""Wrong answers to homework 3, MCSM. What they are for: `test_assignments.py`."""

from __future__ import annotations

WRONG: dict[str, dict[str, str]] = {
    "attention": {
        "pasted": "return torch.tensor([[0.25, 0.75, 0.0]]), torch.tensor([[0.6, 0.8]])",
        "padding takes part": """
            weights = ((states @ inner.T).tanh() @ outer).softmax(dim=1)
            pooled = (weights[:, :, None] * states).sum(dim=1)
            return weights, pooled / pooled.norm(dim=1, keepdim=True)""",
        "an energy of 0 for padding": """
            weights = ((states @ inner.T).tanh() @ outer * mask).softmax(dim=1)
            pooled = (weights[:, :, None] * states).sum(dim=1)
            return weights, pooled / pooled.norm(dim=1, keepdim=True)""",
        "padding taken out after the softmax": """
            weights = ((states @ inner.T).tanh() @ outer).softmax(dim=1) * mask
            pooled = (weights[:, :, None] * states).sum(dim=1)
            return weights, pooled / pooled.norm(dim=1, keepdim=True)""",
        "any length": """
            energies = (states @ inner.T).tanh() @ outer
            weights = energies.masked_fill(~mask, -torch.inf).softmax(dim=1)
            return weights, (weights[:, :, None] * states).sum(dim=1)""",
        "exponentials that overflow": """
            weights = ((states @ inner.T).tanh() @ outer).exp() * mask
            weights = weights / weights.sum(dim=1, keepdim=True)
            pooled = (weights[:, :, None] * states).sum(dim=1)
            return weights, pooled / pooled.norm(dim=1, keepdim=True)""",
        "W from the wrong side": """
            energies = (states @ inner).tanh() @ outer
            weights = energies.masked_fill(~mask, -torch.inf).softmax(dim=1)
            pooled = (weights[:, :, None] * states).sum(dim=1)
            return weights, pooled / pooled.norm(dim=1, keepdim=True)""",
    },
    "lstm-step": {
        "pasted": "return torch.tensor([[0.3534]]), torch.tensor([[0.8808]])",
        "the order of the authors' code": """
            i, f, o, g = (x @ weight_in.T + h @ weight_state.T + bias).chunk(4, dim=1)
            cell = f.sigmoid() * c + i.sigmoid() * g.tanh()
            return o.sigmoid() * cell.tanh(), cell""",
        "an output of the old cell": """
            i, f, g, o = (x @ weight_in.T + h @ weight_state.T + bias).chunk(4, dim=1)
            return o.sigmoid() * c.tanh(), f.sigmoid() * c + i.sigmoid() * g.tanh()""",
        "keeping what is not written": """
            i, f, g, o = (x @ weight_in.T + h @ weight_state.T + bias).chunk(4, dim=1)
            cell = (1 - i.sigmoid()) * c + i.sigmoid() * g.tanh()
            return o.sigmoid() * cell.tanh(), cell""",
        "the last output forgotten": """
            i, f, g, o = (x @ weight_in.T + bias).chunk(4, dim=1)
            cell = f.sigmoid() * c + i.sigmoid() * g.tanh()
            return o.sigmoid() * cell.tanh(), cell""",
    },
    "ranking-loss": {
        "pasted": "return torch.tensor((0.2 + 0.0 + 0.4 + 0.2 + 0.3 + 0.6) / 3)",
        "the hardest in place of the drawn": """
            own, wrong = scores.diagonal(), labels[:, None] != labels[None]
            text, image = (s.masked_fill(~wrong, -torch.inf).amax(dim=1) for s in (scores, scores.T))
            return ((margin - own + text).clamp(min=0) + (margin - own + image).clamp(min=0)).mean()""",
        "any other pair is wrong": """
            own, wrong = scores.diagonal(), ~torch.eye(len(scores)).bool()
            loss = 0
            for found, draw in ((scores, draw_text), (scores.T, draw_image)):
                partner = draw.masked_fill(~wrong, -torch.inf).argmax(dim=1, keepdim=True)
                loss = loss + (margin - own + found.gather(1, partner)[:, 0]).clamp(min=0) * wrong.any(dim=1)
            return loss.mean()""",
        "the wrong image looked up among the texts": """
            own, wrong = scores.diagonal(), labels[:, None] != labels[None]
            loss = 0
            for draw in (draw_text, draw_image):
                partner = draw.masked_fill(~wrong, -torch.inf).argmax(dim=1, keepdim=True)
                loss = loss + (margin - own + scores.gather(1, partner)[:, 0]).clamp(min=0) * wrong.any(dim=1)
            return loss.mean()""",
        "the sign of one report": """
            own, wrong = scores.diagonal(), labels[:, None] != labels[None]
            loss = 0
            for found, draw in ((scores, draw_text), (scores.T, draw_image)):
                partner = draw.masked_fill(~wrong, -torch.inf).argmax(dim=1, keepdim=True)
                loss = loss + (margin + own - found.gather(1, partner)[:, 0]).clamp(min=0) * wrong.any(dim=1)
            return loss.mean()""",
        "a pair without a wrong one counts": """
            own, wrong = scores.diagonal(), labels[:, None] != labels[None]
            loss = 0
            for found, draw in ((scores, draw_text), (scores.T, draw_image)):
                partner = draw.masked_fill(~wrong, -torch.inf).argmax(dim=1, keepdim=True)
                loss = loss + (margin - own + found.gather(1, partner)[:, 0]).clamp(min=0)
            return loss.mean()""",
    },
    "fusion": {
        "pasted": """
            rows = [[0.0, 0.7, 0.2], [0.0, 0.2, 0.4]] if asking == "images" else [[0.0, 0.9, 0.2], [0.1, 0.0, 0.4]]
            return torch.tensor(rows)""",
        "along the texts, whoever asks": """
            def r(w):
                span = w.amax(dim=1, keepdim=True) - w.amin(dim=1, keepdim=True)
                return ((w - w.amin(dim=1, keepdim=True)) / span).nan_to_num(0.0)
            return r(t) * v + r(v) * t""",
        "the whole matrix for a gallery": """
            def r(w):
                return (w - w.min()) / (w.max() - w.min())
            return r(t) * v + r(v) * t""",
        "0/0 left as it is": """
            axis = 1 if asking == "images" else 0
            def r(w):
                least, largest = w.amin(dim=axis, keepdim=True), w.amax(dim=axis, keepdim=True)
                return (w - least) / (largest - least)
            return r(t) * v + r(v) * t""",
        "each space weighed by itself": """
            axis = 1 if asking == "images" else 0
            def r(w):
                least, largest = w.amin(dim=axis, keepdim=True), w.amax(dim=axis, keepdim=True)
                return ((w - least) / (largest - least)).nan_to_num(0.0)
            return r(v) * v + r(t) * t""",
        "the other gallery": """
            axis = 0 if asking == "images" else 1
            def r(w):
                least, largest = w.amin(dim=axis, keepdim=True), w.amax(dim=axis, keepdim=True)
                return ((w - least) / (largest - least)).nan_to_num(0.0)
            return r(t) * v + r(v) * t""",
    },
    "unchanged": {
        "pasted": 'return {"both times 3", "V and T exchanged"}',
        "the numbers in place of the order": """
            before = fuse(v, t)
            return {name for name, change in changes.items() if torch.allclose(fuse(*change(v, t)), before)}""",
        "the best text alone": """
            before = fuse(v, t).argmax(dim=1)
            return {n for n, c in changes.items() if torch.equal(fuse(*c(v, t)).argmax(dim=1), before)}""",
        "an order of all pairs": """
            before = fuse(v, t).flatten().argsort()
            return {n for n, c in changes.items() if torch.equal(fuse(*c(v, t)).flatten().argsort(), before)}""",
        "the order of each space": """
            orders = v.argsort(dim=1), t.argsort(dim=1)
            found = {name: [w.argsort(dim=1) for w in change(v, t)] for name, change in changes.items()}
            return {n for n, new in found.items() if all(torch.equal(a, b) for a, b in zip(new, orders))}""",
        "some image": """
            before = fuse(v, t).argsort(dim=1)
            found = {name: fuse(*change(v, t)).argsort(dim=1) == before for name, change in changes.items()}
            return {name for name, same in found.items() if same.all(dim=1).any()}""",
    },
    "pointing": {
        "pasted": "return 0.5, 5 / 12",
        "all pictures counted": """
            right = shown & present
            at = weights.masked_fill(~present, -torch.inf).argmax(dim=1, keepdim=True)
            chance = right.sum(dim=1) / present.sum(dim=1).clamp(min=1)
            return float(right.gather(1, at).float().mean()), float(chance.mean())""",
        "pointing at what is not there": """
            right = shown & present
            counted = right.any(dim=1)
            chance = right.sum(dim=1) / present.sum(dim=1).clamp(min=1)
            at = weights.argmax(dim=1, keepdim=True)
            return float(right.gather(1, at)[counted].float().mean()), float(chance[counted].mean())""",
        "the weight in place of the place": """
            right = shown & present
            counted = right.any(dim=1)
            weights = weights * present
            mass = (weights * right).sum(dim=1) / weights.sum(dim=1)
            chance = right.sum(dim=1) / present.sum(dim=1).clamp(min=1)
            return float(mass[counted].mean()), float(chance[counted].mean())""",
        "chance over all regions": """
            right = shown & present
            counted = right.any(dim=1)
            at = weights.masked_fill(~present, -torch.inf).argmax(dim=1, keepdim=True)
            return float(right.gather(1, at)[counted].float().mean()), float(right[counted].float().mean())""",
    },
}
