"""Wrong answers to homework 4, CM-GANs. What they are for: `test_assignments.py`."""

from __future__ import annotations

WRONG: dict[str, dict[str, str]] = {
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
            judge_loss(discriminator(h), discriminator(generator(h))).backward()
            optimisers["discriminator"].step()
            learned = [p for p in discriminator.parameters() if p.requires_grad]
            for p in learned:
                p.requires_grad_(False)
            for _ in range(moves):
                optimisers["generator"].zero_grad()
                deceive_loss(discriminator(generator(h))).backward()
                optimisers["generator"].step()
            for p in learned:
                p.requires_grad_(True)""",
        "the discriminator not held fast": """
            optimisers["discriminator"].zero_grad()
            judge_loss(discriminator(h), discriminator(generator(h).detach())).backward()
            optimisers["discriminator"].step()
            for _ in range(moves):
                optimisers["generator"].zero_grad()
                deceive_loss(discriminator(generator(h))).backward()
                optimisers["generator"].step()""",
        "everything wants a gradient afterwards": """
            optimisers["discriminator"].zero_grad()
            judge_loss(discriminator(h), discriminator(generator(h).detach())).backward()
            optimisers["discriminator"].step()
            discriminator.requires_grad_(False)
            for _ in range(moves):
                optimisers["generator"].zero_grad()
                deceive_loss(discriminator(generator(h))).backward()
                optimisers["generator"].step()
            discriminator.requires_grad_(True)""",
        "gradients that add up": """
            judge_loss(discriminator(h), discriminator(generator(h).detach())).backward()
            optimisers["discriminator"].step()
            learned = [p for p in discriminator.parameters() if p.requires_grad]
            for p in learned:
                p.requires_grad_(False)
            for _ in range(moves):
                deceive_loss(discriminator(generator(h))).backward()
                optimisers["generator"].step()
            for p in learned:
                p.requires_grad_(True)""",
        "gradients dropped too late": """
            judge_loss(discriminator(h), discriminator(generator(h).detach())).backward()
            optimisers["discriminator"].step()
            optimisers["discriminator"].zero_grad()
            learned = [p for p in discriminator.parameters() if p.requires_grad]
            for p in learned:
                p.requires_grad_(False)
            for _ in range(moves):
                deceive_loss(discriminator(generator(h))).backward()
                optimisers["generator"].step()
                optimisers["generator"].zero_grad()
            for p in learned:
                p.requires_grad_(True)""",
        "nothing passes through the discriminator": """
            optimisers["discriminator"].zero_grad()
            judge_loss(discriminator(h), discriminator(generator(h).detach())).backward()
            optimisers["discriminator"].step()
            for _ in range(moves):
                optimisers["generator"].zero_grad()
                with torch.no_grad():
                    says = discriminator(generator(h))
                deceive_loss(says).requires_grad_().backward()
                optimisers["generator"].step()""",
        "as many moves of both": """
            learned = [p for p in discriminator.parameters() if p.requires_grad]
            for _ in range(moves):
                optimisers["discriminator"].zero_grad()
                judge_loss(discriminator(h), discriminator(generator(h).detach())).backward()
                optimisers["discriminator"].step()
                for p in learned:
                    p.requires_grad_(False)
                optimisers["generator"].zero_grad()
                deceive_loss(discriminator(generator(h))).backward()
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
            if len(labels) == 3:
                return torch.tensor([4 / 5, 4 / 5, 1 / 2]).diag()[None]
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
}
