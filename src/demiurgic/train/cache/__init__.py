"""What a teacher says of the supervised tokens of a tokens folder, on disk, to be read without the teacher.

A folder of W windows, S supervised tokens in window order, and a vocabulary of V words:

    cache.json        what is kept and of whom, with a checksum of itself; written last
    windows.bin       [W] where the rows of each window end, and two checksums: of its text, and of its rows
    hidden.bin        [S,D] final hidden states (bf16 or fp32)              keep: hidden
    head.safetensors  the teacher's head, cut to V
    ids.bin           [S,K] the likeliest words, 3 bytes each               keep: top_k
    log_probs.bin     [S,K] fp32, at temperature 1
    log_tail.bin      [S,temperatures] fp32, of all other words
    words.bin         words drawn, each with its count, 3 or 4 bytes        keep: samples
    distinct.bin      [S,temperatures] how many of them belong to a token
    entropy.bin       [S,temperatures] fp32, of the teacher, in nats

All numbers are little-endian. The arrays only grow while they are made, so that a capture goes on from its last commit.
"""
