"""Wrong answers to homework 2, CCL. What they are for: `test_assignments.py`."""

from __future__ import annotations

WRONG: dict[str, dict[str, str]] = {
    "free-energy": {
        "pasted": "return torch.tensor([-2.1269, -0.3133])",
        "the mean energy, not the free one": """
            upward = hidden_bias + v @ weight
            return -v @ visible_bias - (upward.sigmoid() * upward).sum(dim=1)""",
        "a logarithm that overflows": """
            return -v @ visible_bias - (1 + (hidden_bias + v @ weight).exp()).log().sum(dim=1)""",
        "no visible bias": "return -torch.nn.functional.softplus(hidden_bias + v @ weight).sum(dim=1)",
    },
    "cd-gradient": {
        "pasted": """
            return torch.tensor([[0.0748], [0.1309]]), torch.tensor([0.1904, -0.1155]), torch.tensor([0.1446])""",
        "the draw in the statistics": """
            h = draw((hidden_bias + v @ weight).sigmoid())
            back = (visible_bias + h @ weight.T).sigmoid()
            again = (hidden_bias + back @ weight).sigmoid()
            return (back.T @ again - v.T @ h) / len(v), (back - v).mean(dim=0), (again - h).mean(dim=0)""",
        "a sum over the items": """
            p = (hidden_bias + v @ weight).sigmoid()
            back = (visible_bias + draw(p) @ weight.T).sigmoid()
            again = (hidden_bias + back @ weight).sigmoid()
            return back.T @ again - v.T @ p, (back - v).sum(dim=0), (again - p).sum(dim=0)""",
        "uphill": """
            p = (hidden_bias + v @ weight).sigmoid()
            back = (visible_bias + draw(p) @ weight.T).sigmoid()
            again = (hidden_bias + back @ weight).sigmoid()
            return (v.T @ p - back.T @ again) / len(v), (v - back).mean(dim=0), (p - again).mean(dim=0)""",
        "no draw": """
            p = (hidden_bias + v @ weight).sigmoid()
            back = (visible_bias + p @ weight.T).sigmoid()
            again = (hidden_bias + back @ weight).sigmoid()
            return (back.T @ again - v.T @ p) / len(v), (back - v).mean(dim=0), (again - p).mean(dim=0)""",
    },
    "corr-ae": {
        "pasted": "return torch.tensor(1.45)",
        "a sum over the pairs": """
            intra = (images_back - images).square().sum() + (texts_back - texts).square().sum()
            return ((1 - correlation) * intra + correlation * (image_codes - text_codes).square().sum()) / 2""",
        "means over the entries": """
            intra = (images_back - images).square().mean() + (texts_back - texts).square().mean()
            return ((1 - correlation) * intra + correlation * (image_codes - text_codes).square().mean()) / 2""",
        "lambda on the wrong side": """
            intra = (images_back - images).square().sum(dim=1) + (texts_back - texts).square().sum(dim=1)
            inter = (image_codes - text_codes).square().sum(dim=1)
            return (correlation * intra + (1 - correlation) * inter).mean() / 2""",
    },
    "parts": {
        "pasted": "return torch.tensor([[4.0, 2.0]])",
        "the mask forgotten": "return codes.mean(dim=1)",
        "divided by all places": "return (codes * mask[:, :, None]).sum(dim=1) / codes.shape[1]",
        "padding taken for zero": "return codes.sum(dim=1) / mask.sum(dim=1, keepdim=True)",
    },
    "contrastive": {
        "pasted": "return 0 * u.sum() + (0.25 + (1 - 0.45**0.5) ** 2) / 4",
        "a mean over the terms": """
            d = torch.cdist(u, v, compute_mode="donot_use_mm_for_euclid_dist")
            same = labels[:, None] == labels[None]
            return torch.where(same, d.square(), (margin - d).clamp(min=0).square()).mean() / 2""",
        "own texts alone are positive": """
            d = torch.cdist(u, v, compute_mode="donot_use_mm_for_euclid_dist")
            same = torch.eye(len(u)).bool()
            return torch.where(same, d.square(), (margin - d).clamp(min=0).square()).sum() / (2 * len(u))""",
        "a hinge on the squared distance": """
            d = (u[:, None] - v[None]).square().sum(dim=2)
            same = labels[:, None] == labels[None]
            return torch.where(same, d, (margin - d).clamp(min=0)).sum() / (2 * len(u))""",
        "a root at 0": """
            d = (u[:, None] - v[None]).square().sum(dim=2).sqrt()
            same = labels[:, None] == labels[None]
            return torch.where(same, d.square(), (margin - d).clamp(min=0).square()).sum() / (2 * len(u))""",
        "loops": """
            total = 0.0
            for a in range(len(u)):
                for b in range(len(v)):
                    d = ((u[a] - v[b]).square().sum() + 1e-12).sqrt()
                    total = total + (d**2 if labels[a] == labels[b] else (margin - d).clamp(min=0) ** 2)
            return total / (2 * len(u))""",
    },
    "verdict": {
        "pasted": 'return "first" if sum(first) > sum(second) else "second"',
        "not paired": """
            a, b = torch.tensor(first).double(), torch.tensor(second).double()
            half = float(stats.t.ppf(0.975, 2 * len(a) - 2)) * float((a.var() / len(a) + b.var() / len(b)).sqrt())
            mean = float(a.mean() - b.mean())
            return "first" if mean - half > 0 else "second" if mean + half < 0 else "undecided" """,
        "a normal distribution": """
            d = torch.tensor(first).double() - torch.tensor(second).double()
            half, mean = 1.96 * float(d.std()) / len(d) ** 0.5, float(d.mean())
            return "first" if mean - half > 0 else "second" if mean + half < 0 else "undecided" """,
        "s divided by n": """
            d = torch.tensor(first).double() - torch.tensor(second).double()
            half = float(stats.t.ppf(0.975, len(d) - 1)) * float(d.std(correction=0)) / len(d) ** 0.5
            mean = float(d.mean())
            return "first" if mean - half > 0 else "second" if mean + half < 0 else "undecided" """,
        "no root of n": """
            d = torch.tensor(first).double() - torch.tensor(second).double()
            half, mean = float(stats.t.ppf(0.975, len(d) - 1)) * float(d.std()), float(d.mean())
            return "first" if mean - half > 0 else "second" if mean + half < 0 else "undecided" """,
    },
}
