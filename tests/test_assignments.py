"""Homework: the solutions pass, no answer fails, and a wrong answer fails its own question and no other."""

from __future__ import annotations

import contextlib
import io
import re
from functools import cache
from pathlib import Path
from typing import Any

import jupytext
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "assignments"
HOMEWORK = sorted(path.stem for path in FOLDER.glob("homework-*.md"))
SOLUTION = re.compile(r"^( *)# BEGIN SOLUTION\n.*?^ *# END SOLUTION$", re.DOTALL | re.MULTILINE)
TOTAL = 20

# By homework and question: "pasted" returns what the examples expect; the others make a mistake that people make.
WRONG: dict[str, dict[str, dict[str, str]]] = {
    "homework-2": {
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
                return torch.tensor([[-0.1616], [0.2196]]), torch.tensor([-0.1192, 0.2689]), torch.tensor([-0.0643])""",
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
            "pasted": "return torch.tensor((0.25 + (1 - 0.45**0.5) ** 2) / 4)",
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
    },
    "homework-3": {
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
            "pasted": "return torch.tensor([[0.0, 0.7, 0.2], [0.0, 0.2, 0.4]])",
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
            "pasted": "return 0.5, 0.5",
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
    },
    "homework-4": {
        "shared-layer": {
            "pasted": "return torch.tensor([[-0.2], [3.0]]), torch.tensor([[-0.2], [3.0]])",
            "statistics of both sides together": """
                z = torch.cat([x_image, x_text]) @ weight.T + bias
                y = gain * (z - z.mean(dim=0)) / (z.var(dim=0, correction=0) + 1e-5).sqrt() + shift
                return torch.maximum(y, 0.2 * y).split([len(x_image), len(x_text)])""",
            "the images' statistics for the texts": """
                z, other = x_image @ weight.T + bias, x_text @ weight.T + bias
                mean, deviation = z.mean(dim=0), (z.var(dim=0, correction=0) + 1e-5).sqrt()
                found = (gain * (one - mean) / deviation + shift for one in (z, other))
                return tuple(torch.maximum(y, 0.2 * y) for y in found)""",
            "a variance divided by n - 1": """
                z = [x @ weight.T + bias for x in (x_image, x_text)]
                found = (gain * (one - one.mean(dim=0)) / (one.var(dim=0) + 1e-5).sqrt() + shift for one in z)
                return tuple(torch.maximum(y, 0.2 * y) for y in found)""",
            "statistics without a gradient": """
                z = [x @ weight.T + bias for x in (x_image, x_text)]
                means = [one.detach().mean(dim=0) for one in z]
                roots = [(one.detach().var(dim=0, correction=0) + 1e-5).sqrt() for one in z]
                found = (gain * (one - mean) / root + shift for one, mean, root in zip(z, means, roots))
                return tuple(torch.maximum(y, 0.2 * y) for y in found)""",
            "torch's own slope": """
                z = [x @ weight.T + bias for x in (x_image, x_text)]
                roots = [(one.var(dim=0, correction=0) + 1e-5).sqrt() for one in z]
                found = (gain * (one - one.mean(dim=0)) / root + shift for one, root in zip(z, roots))
                return tuple(torch.nn.functional.leaky_relu(y) for y in found)""",
        },
        "players": {
            "pasted": """
                parts = {"image": image[0], "text": text[0], "shared": image[1]}
                return {name: [*part.parameters()] for name, part in parts.items()}""",
            "in both lists": """
                both = {id(p) for p in image.parameters()} & {id(p) for p in text.parameters()}
                shared = [p for p in image.parameters() if id(p) in both]
                return {"image": [*image.parameters()], "text": [*text.parameters()], "shared": shared}""",
            "shared goes with the images": """
                own = {id(p) for p in image.parameters()}
                rest = [p for p in text.parameters() if id(p) not in own]
                return {"image": [*image.parameters()], "text": rest, "shared": []}""",
            "by name": """
                a, b = dict(image.named_parameters()), dict(text.named_parameters())
                found = {"image": [p for n, p in a.items() if n not in b]}
                found["text"] = [p for n, p in b.items() if n not in a]
                return found | {"shared": [p for n, p in a.items() if n in b]}""",
            "by value": """
                def among(p, others):
                    return any(p.shape == q.shape and torch.equal(p, q) for q in others)
                a, b = [*image.parameters()], [*text.parameters()]
                found = {"image": [p for p in a if not among(p, b)], "text": [p for p in b if not among(p, a)]}
                return found | {"shared": [p for p in a if among(p, b)]}""",
            "layers in place of parameters": """
                a, b = ({m for m in side.modules() if hasattr(m, "weight")} for side in (image, text))
                found = {"image": a - b, "text": b - a, "shared": a & b}
                return {name: [p for layer in some for p in layer.parameters()] for name, some in found.items()}""",
        },
        "losses": {
            "pasted": """
                return torch.tensor(1.3863), torch.tensor(0.6931 if game == "non-saturating" else -0.6931)""",
            "logarithms of probabilities": """
                judge = -right.sigmoid().log().mean()
                judge = judge - sum((1 - kind.sigmoid()).log().mean() for kind in wrong) / len(wrong)
                says = wrong[0].sigmoid()
                return judge, -says.log().mean() if game == "non-saturating" else (1 - says).log().mean()""",
            "probabilities kept from 0 and 1": """
                def log(p):
                    return p.clamp(1e-7, 1 - 1e-7).log().mean()
                judge = -log(right.sigmoid()) - sum(log((-kind).sigmoid()) for kind in wrong) / len(wrong)
                return judge, -log(wrong[0].sigmoid()) if game == "non-saturating" else log((-wrong[0]).sigmoid())""",
            "a whole weight for each kind": """
                softplus = torch.nn.functional.softplus
                judge = softplus(-right).mean() + sum(softplus(kind).mean() for kind in wrong)
                deceive = softplus(-wrong[0]) if game == "non-saturating" else -softplus(wrong[0])
                return judge / (1 + len(wrong)) * 2, deceive.mean()""",
            "one mean over all that is wrong": """
                softplus = torch.nn.functional.softplus
                judge = softplus(-right).mean() + softplus(torch.cat(wrong)).mean()
                deceive = softplus(-wrong[0]) if game == "non-saturating" else -softplus(wrong[0])
                return judge, deceive.mean()""",
            "every kind deceives": """
                softplus = torch.nn.functional.softplus
                judge = softplus(-right).mean() + sum(softplus(kind).mean() for kind in wrong) / len(wrong)
                kinds = [softplus(-kind) if game == "non-saturating" else -softplus(kind) for kind in wrong]
                return judge, sum(kind.mean() for kind in kinds) / len(wrong)""",
            "a generator that helps the discriminator": """
                softplus = torch.nn.functional.softplus
                judge = softplus(-right).mean() + sum(softplus(kind).mean() for kind in wrong) / len(wrong)
                deceive = softplus(-wrong[0]) if game == "non-saturating" else softplus(wrong[0]) - 2 * 0.693147
                return judge, deceive.mean()""",
            "the same game under both names": """
                softplus = torch.nn.functional.softplus
                judge = softplus(-right).mean() + sum(softplus(kind).mean() for kind in wrong) / len(wrong)
                lift = 0.0 if game == "non-saturating" else -2 * 0.693147
                return judge, softplus(-wrong[0]).mean() + lift""",
        },
        "moves": {
            "pasted": """
                torch.nn.init.constant_(generator.weight, 2.0478)
                torch.nn.init.constant_(discriminator.weight, 0.2)""",
            "the generator not held fast": """
                optimisers["discriminator"].zero_grad()
                judge(discriminator(h), discriminator(generator(h))).backward()
                optimisers["discriminator"].step()
                learned = [p for p in discriminator.parameters() if p.requires_grad]
                for p in learned:
                    p.requires_grad_(False)
                for _ in range(moves):
                    optimisers["generator"].zero_grad()
                    deceive(discriminator(generator(h))).backward()
                    optimisers["generator"].step()
                for p in learned:
                    p.requires_grad_(True)""",
            "the discriminator not held fast": """
                optimisers["discriminator"].zero_grad()
                judge(discriminator(h), discriminator(generator(h).detach())).backward()
                optimisers["discriminator"].step()
                for _ in range(moves):
                    optimisers["generator"].zero_grad()
                    deceive(discriminator(generator(h))).backward()
                    optimisers["generator"].step()""",
            "everything wants a gradient afterwards": """
                optimisers["discriminator"].zero_grad()
                judge(discriminator(h), discriminator(generator(h).detach())).backward()
                optimisers["discriminator"].step()
                discriminator.requires_grad_(False)
                for _ in range(moves):
                    optimisers["generator"].zero_grad()
                    deceive(discriminator(generator(h))).backward()
                    optimisers["generator"].step()
                discriminator.requires_grad_(True)""",
            "gradients that add up": """
                judge(discriminator(h), discriminator(generator(h).detach())).backward()
                optimisers["discriminator"].step()
                learned = [p for p in discriminator.parameters() if p.requires_grad]
                for p in learned:
                    p.requires_grad_(False)
                for _ in range(moves):
                    deceive(discriminator(generator(h))).backward()
                    optimisers["generator"].step()
                for p in learned:
                    p.requires_grad_(True)""",
            "gradients dropped too late": """
                judge(discriminator(h), discriminator(generator(h).detach())).backward()
                optimisers["discriminator"].step()
                optimisers["discriminator"].zero_grad()
                learned = [p for p in discriminator.parameters() if p.requires_grad]
                for p in learned:
                    p.requires_grad_(False)
                for _ in range(moves):
                    deceive(discriminator(generator(h))).backward()
                    optimisers["generator"].step()
                    optimisers["generator"].zero_grad()
                for p in learned:
                    p.requires_grad_(True)""",
            "nothing passes through the discriminator": """
                optimisers["discriminator"].zero_grad()
                judge(discriminator(h), discriminator(generator(h).detach())).backward()
                optimisers["discriminator"].step()
                for _ in range(moves):
                    optimisers["generator"].zero_grad()
                    with torch.no_grad():
                        says = discriminator(generator(h))
                    deceive(says).requires_grad_().backward()
                    optimisers["generator"].step()""",
            "as many moves of both": """
                learned = [p for p in discriminator.parameters() if p.requires_grad]
                for _ in range(moves):
                    optimisers["discriminator"].zero_grad()
                    judge(discriminator(h), discriminator(generator(h).detach())).backward()
                    optimisers["discriminator"].step()
                    for p in learned:
                        p.requires_grad_(False)
                    optimisers["generator"].zero_grad()
                    deceive(discriminator(generator(h))).backward()
                    optimisers["generator"].step()
                    for p in learned:
                        p.requires_grad_(True)""",
        },
        "partners": {
            "pasted": "return torch.tensor([1, 0])",
            "any other item": """
                return torch.multinomial(1 - torch.eye(len(labels)), 1, generator=generator)[:, 0]""",
            "a class first, then an item": """
                found = []
                for label in labels:
                    classes = labels[labels != label].unique()
                    drawn = classes[torch.randint(len(classes), (1,), generator=generator)]
                    places = (labels == drawn).nonzero()[:, 0]
                    found.append(places[torch.randint(len(places), (1,), generator=generator)])
                return torch.cat(found)""",
            "torch's own chance": "return torch.multinomial((labels[:, None] != labels).float(), 1)[:, 0]",
            "one draw for all": """
                draw = torch.rand(len(labels), generator=generator)
                return torch.where(labels[:, None] != labels[None], draw, -1.0).argmax(dim=1)""",
            "the first of another class": "return (labels[:, None] != labels[None]).int().argmax(dim=1)",
            "always the same seed": """
                fresh = torch.Generator().manual_seed(generator.initial_seed())
                return torch.multinomial((labels[:, None] != labels[None]).float(), 1, generator=fresh)[:, 0]""",
            "shuffled until nobody meets the own class, or patience ends": """
                for _ in range(200):
                    found = torch.randperm(len(labels), generator=generator)
                    if (labels[found] != labels).all():
                        break
                return found""",
        },
        "best-answer": {
            "pasted": """
                nan = torch.nan
                own = [[1.0, 0.0], [0.0, 1.0]] if mismatch == "condition" else [[2 / 3, nan], [nan, 2 / 3]]
                return torch.tensor([own, [[0.0, nan], [nan, 0.0]]])""",
            "two thirds, whatever the classes": """
                found = torch.full((2, len(labels), len(labels)), torch.nan)
                if mismatch == "condition":
                    found[0][labels[:, None] != labels[None]] = 0.0
                found[0].fill_diagonal_(1.0 if mismatch == "condition" else 2 / 3), found[1].fill_diagonal_(0.0)
                return found""",
            "kinds that weigh 1": """
                n, allowed = len(labels), labels[:, None] != labels[None]
                drawn = allowed / allowed.sum(dim=1, keepdim=True) / n
                right, wrong = torch.zeros(2, n, n), torch.zeros(2, n, n)
                right[0] = wrong[1] = torch.eye(n) / n
                wrong[0] = drawn.T if mismatch == "condition" else drawn.sum(dim=0).diag()
                return right / (right + wrong)""",
            "the two mismatches exchanged": """
                n, allowed = len(labels), labels[:, None] != labels[None]
                drawn = allowed / allowed.sum(dim=1, keepdim=True) / n
                right, wrong = torch.zeros(2, n, n), torch.zeros(2, n, n)
                right[0] = wrong[1] = torch.eye(n) / n
                wrong[0] = drawn.T if mismatch == "pair" else drawn.sum(dim=0).diag()
                return right / (right + wrong / 2)""",
            "0 where nothing is shown": """
                n, allowed = len(labels), labels[:, None] != labels[None]
                drawn = allowed / allowed.sum(dim=1, keepdim=True) / n
                right, wrong = torch.zeros(2, n, n), torch.zeros(2, n, n)
                right[0] = wrong[1] = torch.eye(n) / n
                wrong[0] = drawn.T if mismatch == "condition" else drawn.sum(dim=0).diag()
                return (right / (right + wrong / 2)).nan_to_num(0.0)""",
            "any other item is a mismatch": """
                n = len(labels)
                drawn = (1 - torch.eye(n)) / (n - 1) / n
                right, wrong = torch.zeros(2, n, n), torch.zeros(2, n, n)
                right[0] = wrong[1] = torch.eye(n) / n
                wrong[0] = drawn if mismatch == "condition" else drawn.sum(dim=0).diag()
                return right / (right + wrong / 2)""",
            "a wrong text for a wrong image": """
                n, allowed = len(labels), labels[:, None] != labels[None]
                drawn = allowed / allowed.sum(dim=1, keepdim=True) / n
                right, wrong = torch.zeros(2, n, n), torch.zeros(2, n, n)
                right[0] = wrong[1] = torch.eye(n) / n
                wrong[1] += drawn.T if mismatch == "condition" else drawn.sum(dim=0).diag()
                return right / (right + wrong / 2)""",
        },
        "probe": {
            "pasted": "return 0.5, 0.0, 1.0",
            "each side by itself": """
                moments = [(s.mean(dim=0), s.std(dim=0)) for s in (train_image, train_text)]
                a, b = ((s - mean) / std for s, (mean, std) in zip((train_image, train_text), moments))
                weight, bias = fresh_probe(torch.cat([a, b]), (torch.arange(2 * len(a)) < len(a)).float())
                a, b = ((s - mean) / std @ weight + bias > 0 for s, (mean, std) in zip((image, text), moments))
                share = (a.float() + (~b).float()) / 2
                rows = share[draws].mean(dim=1)
                return float(share.mean()), float(rows.quantile(0.025)), float(rows.quantile(0.975))""",
            "scored on what it learned": """
                x = torch.cat([train_image, train_text])
                x, count = (x - x.mean(dim=0)) / x.std(dim=0), len(train_image)
                weight, bias = fresh_probe(x, (torch.arange(2 * count) < count).float())
                says = x @ weight + bias > 0
                share = (says[:count].float() + (~says[count:]).float()) / 2
                rows = share[draws % count].mean(dim=1)
                return float(share.mean()), float(rows.quantile(0.025)), float(rows.quantile(0.975))""",
            "moments of the held-out items": """
                def standardised(a, b):
                    both = torch.cat([a, b])
                    return (both - both.mean(dim=0)) / both.std(dim=0)
                y = (torch.arange(2 * len(train_image)) < len(train_image)).float()
                weight, bias = fresh_probe(standardised(train_image, train_text), y)
                says = standardised(image, text) @ weight + bias > 0
                share = (says[: len(image)].float() + (~says[len(image) :]).float()) / 2
                rows = share[draws].mean(dim=1)
                return float(share.mean()), float(rows.quantile(0.025)), float(rows.quantile(0.975))""",
            "not standardised": """
                x, count = torch.cat([train_image, train_text]), len(train_image)
                weight, bias = fresh_probe(x, (torch.arange(2 * count) < count).float())
                a, b = (s @ weight + bias > 0 for s in (image, text))
                share = (a.float() + (~b).float()) / 2
                rows = share[draws].mean(dim=1)
                return float(share.mean()), float(rows.quantile(0.025)), float(rows.quantile(0.975))""",
            "images and texts drawn apart": """
                x = torch.cat([train_image, train_text])
                mean, std, count = x.mean(dim=0), x.std(dim=0), len(train_image)
                weight, bias = fresh_probe((x - mean) / std, (torch.arange(2 * count) < count).float())
                a, b = ((s - mean) / std @ weight + bias for s in (image, text))
                a, b = (a > 0).float(), (b <= 0).float()
                rows = (a[draws].mean(dim=1) + b[draws.flip(0)].mean(dim=1)) / 2
                return float((a.mean() + b.mean()) / 2), float(rows.quantile(0.025)), float(rows.quantile(0.975))""",
            "items as if they were independent": """
                x = torch.cat([train_image, train_text])
                mean, std, count = x.mean(dim=0), x.std(dim=0), len(train_image)
                weight, bias = fresh_probe((x - mean) / std, (torch.arange(2 * count) < count).float())
                a, b = ((s - mean) / std @ weight + bias for s in (image, text))
                share = float(torch.cat([a > 0, b <= 0]).float().mean())
                half = 1.96 * (share * (1 - share) / (2 * len(image))) ** 0.5
                return share, max(0.0, share - half), min(1.0, share + half)""",
            "the least and the largest": """
                x = torch.cat([train_image, train_text])
                mean, std, count = x.mean(dim=0), x.std(dim=0), len(train_image)
                weight, bias = fresh_probe((x - mean) / std, (torch.arange(2 * count) < count).float())
                a, b = ((s - mean) / std @ weight + bias for s in (image, text))
                share = ((a > 0).float() + (b <= 0).float()) / 2
                rows = share[draws].mean(dim=1)
                return float(share.mean()), float(rows.min()), float(rows.max())""",
        },
    },
}


@cache
def cells(name: str) -> list[dict[str, Any]]:
    """The cells of a homework: kind, text, question, role (answer, public-test, hidden-test or none) and points."""
    found = []
    for cell in jupytext.read(FOLDER / f"{name}.md").cells:
        roles = set(cell.metadata.get("tags", [])) & {"answer", "public-test", "hidden-test"}
        assert len(roles) <= 1, cell.source
        question, points = cell.metadata.get("question"), cell.metadata.get("points")
        entry = {"kind": cell.cell_type, "text": cell.source, "question": question, "points": points}
        found.append(entry | {"role": roles.pop() if roles else None})
    return found


def questions(name: str) -> list[str]:
    return list(dict.fromkeys(cell["question"] for cell in cells(name) if cell["question"]))


def of(name: str, question: str, role: str | None, kind: str = "code") -> list[dict[str, Any]]:
    asked = (question, role, kind)
    return [cell for cell in cells(name) if (cell["question"], cell["role"], cell["kind"]) == asked]


def run(text: str, names: dict[str, Any]) -> Exception | None:
    """Run a cell; return what it raised."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(text, "<cell>", "exec"), names)
    except Exception as fault:
        return fault
    return None


@cache
def shared(name: str) -> dict[str, Any]:
    """The names after all cells that belong to no question, run without a single answer."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells(name):
        if cell["kind"] == "code" and cell["question"] is None:
            fault = run(cell["text"], names)
            assert fault is None, f"{name}: {fault!r} in\n{cell['text']}"
    return names


def graded(name: str, answers: dict[str, str] | None = None) -> dict[str, dict[str, Exception | None]]:
    """By question and role of the test, what it raised: with the solutions, or with other code in their place."""
    names, found = dict(shared(name)), {}
    for question in questions(name):
        (answer,) = of(name, question, "answer")
        text = answer["text"]
        if answers is not None and question in answers:
            text = answered(text, answers[question])
        assert run(text, names) is None, f"{question}: the cell of the answer does not run"
        tests = {role: of(name, question, role) for role in ("public-test", "hidden-test")}
        found[question] = {role: [run(cell["text"], names) for cell in some] for role, some in tests.items()}
        found[question] = {role: next((f for f in faults if f), None) for role, faults in found[question].items()}
    return found


def answered(text: str, body: str) -> str:
    """The cell of an answer with other code between the marks."""
    lines = [line for line in body.rstrip().split("\n") if line.strip()]
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    return SOLUTION.sub(lambda match: "\n".join(match.group(1) + line[margin:] for line in lines), text)


def failed(result: dict[str, dict[str, Exception | None]]) -> list[str]:
    return [question for question, tests in result.items() if any(tests.values())]


WRONG_ANSWERS = [
    (name, question, mistake) for name, own in WRONG.items() for question in own for mistake in own[question]
]


def test_there_is_homework_and_it_is_known_here():
    assert HOMEWORK and set(HOMEWORK) == set(WRONG)


@pytest.mark.parametrize("name", HOMEWORK)
def test_marks(name):
    assert set(questions(name)) == set(WRONG[name])
    total = 0
    for question in questions(name):
        assert {"pasted"} < set(WRONG[name][question]), f"{question} needs a pasted answer and one with a mistake"
        (answer,) = of(name, question, "answer")
        assert len(SOLUTION.findall(answer["text"])) == 1
        headings = [
            re.findall(r"^## .* \((\d+) points\)$", c["text"], re.M) for c in of(name, question, None, "markdown")
        ]
        (stated,) = [int(number) for numbers in headings for number in numbers]
        assert of(name, question, "public-test")
        hidden = of(name, question, "hidden-test")
        assert all(isinstance(cell["points"], int) and cell["points"] > 0 for cell in hidden)
        assert sum(cell["points"] for cell in hidden) == stated
        total += stated
    assert total == TOTAL
    for cell in cells(name):
        assert cell["points"] is None or cell["role"] == "hidden-test", "points stand on hidden tests"
        assert cell["role"] is None or cell["question"], "a test or an answer belongs to a question"
        assert cell["role"] == "answer" or "SOLUTION" not in cell["text"]


@pytest.mark.parametrize("name", HOMEWORK)
def test_the_solutions_pass(name):
    for question, tests in graded(name).items():
        for role, fault in tests.items():
            assert fault is None, f"{question}, {role}: {fault!r}"


@pytest.mark.parametrize("name", HOMEWORK)
def test_without_solutions_every_test_fails(name):
    found = graded(name, {question: "raise NotImplementedError()" for question in questions(name)})
    for question, tests in found.items():
        for role, fault in tests.items():
            assert isinstance(fault, NotImplementedError), f"{question}, {role}: {fault!r}"


@pytest.mark.parametrize(("name", "question", "mistake"), WRONG_ANSWERS)
def test_a_wrong_answer_fails_its_own_question_alone(name, question, mistake):
    found = graded(name, {question: WRONG[name][question][mistake]})
    assert failed(found) == [question]
    assert found[question]["hidden-test"] is not None, "the hidden test finds it, whatever the examples do"
    if mistake == "pasted":
        assert found[question]["public-test"] is None, "it is what the examples expect"


@pytest.mark.parametrize("name", HOMEWORK)
def test_a_hidden_test_uses_no_other_answer(name):
    """With only one question answered, that question passes."""
    for question in questions(name):
        others = {other: "raise NotImplementedError()" for other in questions(name) if other != question}
        assert question not in failed(graded(name, others))
