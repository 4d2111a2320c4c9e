"""Do texts hold the questions of evaluation sets? An index of items, and a scanner of texts. Only
`sets.py` reads files; rows are not known.

A text is a stream of words (`kernels/words.py`), so line breaks, case and punctuation hide nothing. It holds an item

- `exact`: when enough of the item's words lie in n-grams of words (8 of them) that stand in the text too. n-grams that
  more than `template_items` items share are templates (`Answer the following question with true or false`): they match
  nothing and count for nothing. Coverage is the share of the words in the other n-grams. 13 words must be found, or all
  of a shorter item: half of a short question stands in many others;
- `whole`: for an item that n-grams cannot find, being shorter than n words or nearly all template, when all its words
  stand in the text in order and nothing between them, and the symbols among them too (`not ( True )`), ordinary
  punctuation aside;
- `fuzzy`: with every number taken for the same, when enough of the item's words lie in 3-grams that stand near one
  another in the text: a question whose numbers or names were changed. Of common 3-grams the same holds as of templates.

Items of fewer than four words stand in ordinary texts by chance, and are not looked for; the index counts them.
"""

from demiurgic.text.contamination.index import Index, build_index
from demiurgic.text.contamination.item import Item
from demiurgic.text.contamination.scanner import HOW, Hit, Hits, Scanner

__all__ = ["HOW", "Hit", "Hits", "Index", "Item", "Scanner", "build_index"]
