"""Which rows repeat another: in what they say, in most of their words, or as one answer too many to a prompt.

`config` is what a recipe says, `rule.find_duplicates` decides over all rows, `said.said_hashes` tells rows apart by
what they say, `fingerprints` keeps what later curations compare with.
"""
