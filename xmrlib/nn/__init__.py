"""What more than one method is built from.

cross_attention_scores     every image with every text, by attention between regions and words
cross_attention_weights    where the words of a text look in its image, or the regions in the text
hinge_loss, same_image     a loss that puts an item's own partner before all others of the batch
RBM, AutoencoderLayer      a layer that learns what its input looks like, without labels
"""

from __future__ import annotations

from xmrlib.nn.cross_attention import cross_attention_scores, cross_attention_weights
from xmrlib.nn.ranking import hinge_loss, same_image
from xmrlib.nn.rbm import RBM, AutoencoderLayer

__all__ = ["RBM", "AutoencoderLayer", "cross_attention_scores", "cross_attention_weights", "hinge_loss", "same_image"]
