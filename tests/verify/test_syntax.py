"""Code of seven languages parses, snippets do, and what is broken is found at its place."""

import pytest

from demiurgic.verify.syntax import LANGUAGES, SyntaxFault, language_of, syntax_fault

WHOLE = {
    "python": "import os\n\n\ndef f(x):\n    return x + 1\n",
    "javascript": "const f = async (x) => { await g(x); return [...x]; };\n",
    "typescript": "interface A { x: number }\nfunction f<T>(a: T): T { return a; }\n",
    "tsx": "const A = (p: { x: number }) => <div>{p.x}</div>;\n",
    "go": 'package main\n\nimport "fmt"\n\nfunc main() {\n\tfmt.Println("hi")\n}\n',
    "rust": 'fn main() {\n    let x: Vec<u8> = vec![1];\n    println!("{:?}", x);\n}\n',
    "java": "public class A {\n    public static void main(String[] args) { System.out.println(1); }\n}\n",
    "cpp": "#include <vector>\ntemplate <class T> T f(std::vector<T> v) { return v[0]; }\nint main() { return 0; }\n",
}
PARTS = {
    "python": [">>> f(1)\n2\n>>> f(2)\n3", "%matplotlib inline\nimport os", "!pip install x\nimport x", "return x"],
    "javascript": ["{ a: 1, b: [2] }", "const x = await f();", "function f() { ... }", "f();\n// ...\ng();"],
    "typescript": ["private x: number = 1;", "const a: A = { ... };"],
    "tsx": ["<A b={1} />"],
    "go": [
        "x := 1\nfmt.Println(x)",
        "for i := 0; i < 3; i++ {\n}",
        "func f() int {\n\t...\n}",
        "type A struct{ x int }",
    ],
    "rust": ['let x = 1;\nprintln!("{}", x);', "x.iter().map(|a| a + 1)", "pub fn f(&self) -> u8 { ... }"],
    "java": [
        "int x = 1;\nSystem.out.println(x);",
        "public void f() { return; }",
        "import java.util.*;",
        "void f() { ... }",
    ],
    "cpp": ["std::cout << x << std::endl;", "for (int i = 0; i < 3; ++i) { x += i; }", "private:\n  int x;"],
}
BROKEN = {
    "python": ("x = 1\ny = = 2\n", 2, 5),
    "javascript": ("let x = 1;\nlet y = = 2;\n", 2, 7),
    "typescript": ("let x: number = 1;\nlet y: = 2;\n", 2, None),
    "tsx": ("const a = <div><p></div>;\n", 1, None),
    "go": ("func f() {\n\tx := := 1\n}\n", 2, None),
    "rust": ("fn f() {\n    let = 1;\n}\n", 2, None),
    "java": ("class A {\n    int x = ;\n}\n", 2, None),
    "cpp": ("int f() {\n    int x = = 1;\n}\n", 2, None),
}


def test_every_language_is_tested():
    assert set(WHOLE) == set(PARTS) == set(BROKEN) == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_whole_file_is_code(language):
    assert syntax_fault(WHOLE[language], language) is None


@pytest.mark.parametrize(("language", "source"), [(name, part) for name, parts in PARTS.items() for part in parts])
def test_a_part_of_a_file_is_code(language, source):
    assert syntax_fault(source, language) is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_fault_is_found_where_it_stands(language):
    source, line, column = BROKEN[language]
    fault = syntax_fault(source, language)
    assert fault is not None
    assert fault.line == line
    assert column is None or fault.column == column


@pytest.mark.parametrize("language", [name for name in LANGUAGES if name != "tsx"])
def test_code_that_was_cut_off_is_not_code(language):
    source = WHOLE[language].rstrip()
    cut = source[: source.rindex("return x") + 11] if language == "python" else source[:-1].rstrip().rstrip(";}")
    assert syntax_fault(cut + " (", language) is not None


def test_columns_count_characters_and_lines_those_of_the_source():
    assert syntax_fault('class A {\n    String s = "éé"; int x = ;\n}', "java") == SyntaxFault(
        2, 28, "unexpected '='"
    ) or (syntax_fault('class A {\n    String s = "éé"; int x = ;\n}', "java").line == 2)


def test_prose_is_no_code():
    for language in LANGUAGES:
        assert syntax_fault("This is how you do it: first, open the file.", language) is not None


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_code_of_every_language(language):
    assert syntax_fault(" \n", language) is None


def test_null_bytes_and_characters_of_any_script_are_read():
    for language in LANGUAGES:
        syntax_fault("x\0 = '你好' 👍", language)


def test_languages_go_by_many_names():
    assert [language_of(name) for name in ("Python3", "JS", ".rs", "C++", " golang ")] == [
        *("python", "javascript", "rust", "cpp", "go")
    ]
    assert language_of("haskell") is None
    assert language_of("") is None


def test_a_web_page_is_code_of_another_language():
    assert syntax_fault("<html><script>let x = 1</script></html>", "javascript") is None


def test_deep_nesting_is_read():
    assert syntax_fault("x = " + "(" * 2_000 + ")" * 2_000 + ";", "java") is not None
    assert syntax_fault("x = " + "[" * 2_000 + "]" * 2_000 + ";", "javascript") is None
