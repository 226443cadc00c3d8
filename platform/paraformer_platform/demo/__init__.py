"""A local web page on which a model is spoken to: `paraformer demo-page`.

::

    browser                                        server (127.0.0.1 only)
    record or drop ─> a file ─────POST /api/hear──────> text, tokens, spectrogram, weights, firings
    choose a layer ─> the same ───POST /api/attention─> one picture for each head

A file goes up as it is, so that it is read as in training. What libsndfile does not know (a browser's own
WebM, MP4) the browser decodes and sends as WAV of 32-bit samples: rounded to 16 bits, the empty upper half of
an 8 kHz recording would be full of noise, and log-mel features notice. The server keeps nothing between
requests.

The page is plain HTML, CSS and JavaScript in ``page/``; it asks nobody else for anything, and its content
security policy would not let it.
"""
