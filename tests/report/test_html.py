from demiurgic.report.page.html import Html, element, escaped, join, table


def test_text_is_escaped_and_markup_is_not():
    made = element("p", "<script>alert('&')</script>", element("b", "bold"))
    assert made.text == "<p>&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt;<b>bold</b></p>"


def test_an_attribute_cannot_be_broken_out_of():
    made = element("a", "here", title='" onclick="alert(1)')
    assert made.text == '<a title="&quot; onclick=&quot;alert(1)">here</a>'


def test_attributes_that_are_none_or_false_are_left_out():
    made = element("details", open=True, id=None, hidden=False, class_="a", stroke_width=1.5)
    assert made.text == '<details open class="a" stroke-width="1.5"></details>'


def test_control_characters_and_half_surrogates_are_replaced():
    assert escaped("a\x00b\ud800c\td") == "a\N{REPLACEMENT CHARACTER}b?c\td"


def test_children_may_be_nested_and_none_is_nothing():
    assert join("a", None, ["b", [Html("<i></i>"), 1234]]).text == "ab<i></i>1,234"


def test_a_table_scrolls_inside_itself_and_its_rows_have_headers():
    text = table(["name", "n"], [["a", 1]], label="Counts").text
    assert text.startswith('<div class="scroll" role="region" aria-label="Counts" tabindex="0">')
    assert '<tr><th scope="row">a</th><td>1</td></tr>' in text
