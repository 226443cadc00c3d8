"""The process that holds eSpeak NG's library: requests in, samples out.

Run by path (`python -I espeak_worker.py LIBRARY DATA_FOLDER`) and never imported, so it starts in 40 ms. It
answers each line of standard input, a JSON list [text, voice, speed, pitch], with the number of samples
(int32, −1 if the library has no such voice) and the samples (int16); the first four bytes it sends are the
sample rate.
"""

import ctypes
import json
import os
import struct
import sys

SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: samples come by callback, before espeak_Synth returns
CHARACTERS_UTF8 = 1
PARAMETER_RATE, PARAMETER_PITCH = 1, 3
POSITION_CHARACTER = 1
SEED = 1
SampleCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def answer(library: ctypes.CDLL, request: str, pieces: list[bytes]) -> bytes:
    """Speak one request; `pieces` is what the library's callback fills."""
    text, voice, speed, pitch = json.loads(request)
    pieces.clear()
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        return struct.pack("<i", -1)
    library.espeak_SetParameter(PARAMETER_RATE, speed, 0)
    library.espeak_SetParameter(PARAMETER_PITCH, pitch, 0)
    encoded = text.encode()
    library.espeak_Synth(encoded, len(encoded) + 1, 0, POSITION_CHARACTER, 0, CHARACTERS_UTF8, None, None)
    samples = b"".join(pieces)
    return struct.pack("<i", len(samples) // 2) + samples


def serve(library_path: str, data_folder: str) -> None:
    """Answer requests until standard input ends."""
    # What the library prints must not get between the samples.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    library = ctypes.CDLL(library_path)
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int,
        ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p,
    ]  # fmt: skip
    library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, data_folder.encode(), 0)
    library.espeak_ng_SetRandSeed(SEED)  # after Initialize, which seeds with the time of day
    pieces: list[bytes] = []

    def keep(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = SampleCallback(keep)
    library.espeak_SetSynthCallback(callback)
    output.write(struct.pack("<i", rate))
    output.flush()
    for request in sys.stdin:
        output.write(answer(library, request, pieces))
        output.flush()


if __name__ == "__main__":
    serve(*sys.argv[1:])
