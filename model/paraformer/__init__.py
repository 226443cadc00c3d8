"""The Paraformer speech recogniser: network, tokenizers, features, data and decoding."""
