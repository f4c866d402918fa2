"""Invented requests in the shapes of whole families of tasks: typed stubs, data frames, queries, reports, exercises.

Each maker returns a text and the odds that it needs the deep tier, as its author expects them. What makes a task of one
family harder than another (more conditions, sizes, parts that must fit together) is varied inside every shape, so that
the shape alone decides nothing. Nothing here is taken from a benchmark.
"""

from random import Random

Ask = tuple[str, float]

EASY = (
    "the sum of the even numbers", "the longest word", "how many words start with a capital letter", "the numbers in reverse order", "the second largest value",
    "whether every bracket is closed", "the list without its duplicates, in order", "the common prefix of two words", "the digits of n added up", "the running maximum",
    "the text with its vowels removed", "the numbers that are larger than their neighbour", "the index of the first negative number, or None", "the area of a triangle, rounded to two decimals",
)  # fmt: skip
HARD = (
    "the length of the longest subsequence that can be split into two increasing ones", "the smallest number of swaps that sorts the list when only neighbours at distance k may change places",
    "the nested expression with all redundant brackets removed, honouring precedence and unary signs", "every way to split the text into words of the dictionary, shortest first, without repeating work",
    "the schedule with the least lateness when jobs have release times and one may be preempted", "the number of grids that tile under rotation, modulo a prime", "the n-th number whose digits form a palindrome in two bases",
    "the k closest pairs across two sorted arrays in less than quadratic time", "the time left after all intervals are merged, where later ones override earlier ones only in part", "the decoded text of a code with nested repeat counts, escapes and back references",
)  # fmt: skip
NAMES = (
    "solve",
    "pick_values",
    "longest_run",
    "count_items",
    "merge_parts",
    "decode_text",
    "closest_pairs",
    "total_area",
    "group_words",
    "next_state",
)
TABLES = (
    "orders",
    "customers",
    "employees",
    "flights",
    "students",
    "matches",
    "invoices",
    "airports",
    "courses",
    "songs",
    "stadiums",
    "departments",
)
COLUMNS = (
    "id",
    "name",
    "country",
    "created_at",
    "amount",
    "status",
    "age",
    "salary",
    "capacity",
    "title",
    "year",
    "rank",
)
PARTS = (
    "parser",
    "resolver",
    "printer",
    "codec",
    "scheduler",
    "formatter",
    "router",
    "renderer",
    "tokenizer",
    "watcher",
    "client",
    "cache",
    "borrow checker",
    "bundler",
    "query builder",
    "test runner",
)
LANGUAGES = ("Rust", "Go", "Java", "TypeScript", "C++", "Ruby", "PHP", "C", "Kotlin", "JavaScript", "Python", "C#")


def stub(roll: Random) -> Ask:
    """Invent a typed signature with a docstring that is to be completed."""
    hard = roll.random() < 0.35
    name, what = roll.choice(NAMES), roll.choice(HARD if hard else EASY)
    values = [roll.randint(0, 20) for _ in range(4)]
    doc = f'    """ Return {what}.\n    >>> {name}({values})\n    {roll.randint(0, 30)}\n    >>> {name}([])\n    {roll.choice(("0", "None", "[]"))}\n    """\n'
    head = roll.choice(
        (
            "from typing import List\n\n\n",
            "import math\n\n",
            "",
            "def is_even(n: int) -> bool:\n    return n % 2 == 0\n\n\n",
        )
    )
    kind = roll.choice(("List[int]", "list", "str", "List[str]"))
    code = f"{head}def {name}(items: {kind}) -> {roll.choice(('int', 'List[int]', 'bool', 'str'))}:\n{doc}"
    lead = roll.choice(
        (
            "Complete the following code.",
            "Complete this function:",
            "Write the body of this function. Answer with the whole function.",
            "Continue this code:",
            "Please implement the function below.",
            "",
        )
    )
    fence = roll.choice(("```python\n{}```", "```\n{}```", "{}"))
    return f"{lead}\n\n{fence.format(code)}".strip(), 0.42 if hard else 0.08


def frame(roll: Random) -> Ask:
    """Invent a question about arrays or data frames with a half written answer."""
    library = roll.choice(("pandas", "numpy", "scipy", "scikit-learn", "tensorflow", "pytorch", "matplotlib", "polars"))
    hard = roll.random()
    easy = (
        "I want to rename the columns",
        "how do I drop the rows with NaN in column b",
        "I need the column means as a list",
        "I want to draw the two columns as a line with a legend",
        "how do I turn the index into a column",
        "I want the values of a that are larger than 5",
    )
    middle = (
        "I want to add exponentials of each existing column with a prefix in its name",
        "for each group I want the row with the largest count, and all of them where there are several",
        "I want to one-hot encode the lists in the last column",
        "I want to shift the first row of one column down and keep the types",
        "how do I bin the values and count unique users in each bin",
    )
    tough = (
        "I want to get rid of repeated measurements: keep a value only if it rose by more than the mean of the last three kept ones, without a loop",
        "I have a tensor of lengths and want the mask with zeros before and ones after, for a batch, vectorised",
        "how can I find the connected groups of rows that share a value in either column",
        "I want the sparse matrix times its transpose with the diagonal cleared, without making it dense",
        "I want to fit the curve with bounds so that the second parameter depends on the first, and read the covariance of the transformed one",
    )
    said = roll.choice(easy if hard < 0.3 else middle if hard < 0.65 else tough)
    rows = "\n".join(
        f"{n}  {roll.choice('xyz')}  {roll.randint(0, 99)}  {roll.randint(0, 9) / 10}"
        for n in range(roll.randint(2, 5))
    )
    text = f"Problem:\nI have the following {roll.choice(('DataFrame', 'data', 'array', 'table'))}:\n   a  b  c\n{rows}\n\n{said}. The result should look like this:\n{rows}\n\nHow can I do that with {library}?"
    if roll.random() < 0.6:
        text += f"\n\nA:\n<code>\nimport {roll.choice(('pandas as pd', 'numpy as np'))}\ndf = load_data()\n</code>\nresult = ... # put solution in this variable\nBEGIN SOLUTION\n<code>"
    return text, 0.12 if hard < 0.3 else 0.35 if hard < 0.65 else 0.55


def query(roll: Random) -> Ask:
    """Invent a question to a database of some tables."""
    hard = roll.random()
    names = roll.sample(TABLES, 1 + int(hard * 4))
    kinds = ("INTEGER", "TEXT", "REAL", "DATE")
    fields = [", ".join(f"{c} {roll.choice(kinds)}" for c in roll.sample(COLUMNS, 4)) for _ in names]
    tables = "\n".join(f"CREATE TABLE {t} ({f});" for t, f in zip(names, fields, strict=True))
    easy = (
        f"How many {names[0]} are there?",
        f"List the name of all {names[0]} ordered by year.",
        f"What is the average amount of the {names[0]} from France?",
        f"Show the {names[0]} with the highest rank.",
    )
    tough = (
        f"For each country, which of the {names[0]} had the largest growth over the same month of the year before, among those seen in at least three months?",
        f"What share of {names[0]} have a later entry in {names[-1]} with another status, in percent to two decimals?",
        f"Find the {names[0]} that are in the top decile by amount within their country but never appear in {names[-1]}.",
    )
    lead = roll.choice(
        (
            "Given the schema, write a SQL query that answers the question.",
            "Translate the question into SQLite.",
            "You are given these tables:",
            "Using valid SQL, answer the question for the tables below.",
        )
    )
    return f"{lead}\n\n{tables}\n\nQuestion: {roll.choice(tough if hard > 0.6 else easy)}", 0.42 if hard > 0.6 else 0.1


def report(roll: Random) -> Ask:
    """Invent an issue of a repository in any language, as its users would write it."""
    language, part, other = roll.choice(LANGUAGES), roll.choice(PARTS), roll.choice(PARTS)
    hard, name = roll.random(), roll.choice(NAMES)
    title = roll.choice(
        (
            f"{part}: panic on nested input",
            f"[Bug] {part} ignores `{name}` when {other} is enabled",
            f"Regression: {name} returns wrong type since 2.{roll.randint(1, 30)}",
            f"`{name}` should accept options like {other} does",
            f"False positive in {part}",
            f"Incorrect output from {part} with empty list",
            f"Support {other} in {part}",
            f"{part} hangs when the connection is closed",
            f"{name}() loses precision",
        )
    )
    heads = roll.choice(
        (
            ("### Describe the bug", "### To reproduce", "### Expected behavior", "### Environment"),
            ("**What happened**", "**Steps**", "**What I expected**", "**Version**"),
            ("## Summary", "## Steps to reproduce", "## Expected", "## System info"),
            ("", "", "", ""),
        )
    )
    code = {
        "Rust": f'fn main() {{\n    let x = {name}(&[1, 2]).unwrap();\n    println!("{{:?}}", x);\n}}',
        "Go": f"func main() {{\n\tx, err := lib.{name}(nil)\n\tfmt.Println(x, err)\n}}",
        "Python": f"import lib\nlib.{name}([1, None])",
    }.get(language, f"var x = new Lib().{name}([1, 2], null);\nconsole.log(x);")
    trace = roll.choice(
        (
            "",
            "",
            f"thread 'main' panicked at 'index out of bounds', src/{part.replace(' ', '_')}.rs:{roll.randint(20, 900)}:13",
            f'Exception in thread "main" java.lang.IllegalStateException\n\tat org.lib.{name}({name}.java:{roll.randint(20, 900)})',
            f"TypeError: Cannot read properties of undefined (reading '{name}')\n    at {name} (src/{part.replace(' ', '-')}.ts:{roll.randint(20, 900)}:17)",
            f"panic: runtime error: invalid memory address\ngoroutine 1 [running]:\nmain.{name}(0x0)",
        )
    )
    parts = [
        title,
        heads[0],
        f"When I use {name} together with the {other}, the {part} gives the wrong result.",
        heads[1],
        f"```{language.lower()}\n{code}\n```",
        trace,
        heads[2],
        f"The {part} keeps the value as it did before.",
        heads[3],
        f"{language}, version 1.{roll.randint(0, 40)}.{roll.randint(0, 9)}, Linux",
    ]
    if hard > 0.6:
        parts.append(
            f"I looked into it: the {part} and the {other} share state, and a change there would also have to cover generics and the old configuration format, without breaking the public interface."
        )
    if hard < 0.2:
        parts.append(f"It looks like a one line fix: `{name}` compares with `<` where it should be `<=`.")
    lead = roll.choice(
        (
            "",
            "Resolve this issue.\n\n",
            f"The repository is checked out in the current directory. Fix the following issue by editing the {language} sources.\n\n",
            "<issue>\n",
        )
    )
    return lead + "\n".join(p for p in parts if p), 0.35 if hard < 0.2 else 0.75 if hard > 0.6 else 0.6


def exercise(roll: Random) -> Ask:
    """Invent an exercise of a course: a story, tasks, examples."""
    hard = roll.random()
    topic = roll.choice(
        (
            "a vending machine",
            "a bank account",
            "a deck of cards",
            "a robot on a grid",
            "a library",
            "a spreadsheet",
            "a word game",
            "a relay race",
            "a phone book",
            "a calendar",
            "a maze",
            "a stack language",
        )
    )
    rule = roll.choice(HARD if hard > 0.55 else EASY)
    tasks = (
        "\n".join(
            f"## {n}. {roll.choice(('Add', 'Remove', 'Count', 'Show', 'Combine'))} the entries\n\nImplement `{roll.choice(NAMES)}` which gives {roll.choice(EASY)}."
            for n in range(1, roll.randint(2, 5))
        )
        if hard < 0.55
        else f"Your task is to find {rule}.\n\n## Rules\n\n- Every move is checked before it is made.\n- Two moves at once cancel each other.\n- The state after an invalid move stays as it was, and an error with a meaningful message is raised."
    )
    example = "```text\n" + "\n".join(" ".join(roll.choice(".#OX12") for _ in range(6)) for _ in range(3)) + "\n```"
    return (
        f"# Instructions\n\nIn this exercise you work with {topic}.\n\n{tasks}\n\n## Example\n\n{example}\n\nUse the {roll.choice(LANGUAGES)} stub in the file and only change that file.",
        0.5 if hard > 0.55 else 0.22,
    )


def edit(roll: Random) -> Ask:
    """Invent an instruction to change given code."""
    hard = roll.random() < 0.4
    name, what = roll.choice(NAMES), roll.choice(HARD if hard else EASY)
    easy = (
        f"Edit the function so that it also returns {what}.",
        f"Add a parameter `reverse` to `{name}`, off by default.",
        f"Change `{name}` to raise ValueError for empty input.",
        "Make the class iterable.",
        f"Translate this function to {roll.choice(LANGUAGES)}, keep the names.",
        "Add a `__repr__` and an `__eq__`.",
        "Fix the off by one error.",
        "Replace the loop by a comprehension.",
    )
    tough = (
        f"Change the class so that it can also give {what}; the existing methods keep their complexity.",
        f"Rewrite `{name}` without recursion and in linear memory, and make it give {what}.",
        "Make all operations persistent: every change returns a new version and old ones stay usable.",
        "Turn this into a generic container with variance as strict as the type checker allows, and move validation into a metaclass.",
        "Vectorise this over batches, support masks and gradients through the sort.",
    )
    return roll.choice(tough if hard else easy), 0.5 if hard else 0.1


def trace(roll: Random) -> Ask:
    """Invent a question about what code does with one input."""
    value = roll.choice(
        ("'abca'", "[3, 1, 2]", "{'a': 1}", "'x1y2', 3", "[[1], [2, 3]]", "7, -2", "'Hello World', ' '")
    )
    forms = (
        f"What is the output of f({value})?",
        f"assert f({value}) ==",
        f"Complete the assertion with the literal that f({value}) returns. Do not run the code.",
        f"Which call of f gives {value}? Answer with one assertion.",
        f"Give an input for which the function returns {value}.",
        "Execute this program step by step and tell what it prints.",
        f"Simulate the code: what is returned for {value}?",
        "Will the assertion pass? Answer yes or no and say why.",
        "Which lines are executed for this input?",
    )
    return roll.choice(forms), 0.45


def shell(roll: Random) -> Ask:
    """Invent work in a terminal."""
    hard = roll.random() < 0.6
    easy = (
        "Find all files larger than 100 MB under /var and list them by size.",
        "Count the lines of all csv files in this folder.",
        "Write a cron entry that runs backup.sh every night at two.",
        "Rename all .jpeg files to .jpg.",
        "Show which process listens on port 8080.",
        "Replace foo by bar in every file of the repository.",
    )
    tough = (
        f"Build the {roll.choice(PARTS)} from source in /app, it fails with the compiler installed here. Make `make check` pass without changing the tests.",
        "A server on this machine answers with 502 every few minutes. Find the cause in the logs and the configuration, repair it and prove it.",
        "Recover the deleted rows from the write-ahead log in /data and write them as json.",
        "Train a classifier on /data/train.csv that reaches 0.9 on the hidden test set in under a minute on one core.",
        "Write an emulator for the program in /app/rom.bin, its instruction set is in /app/manual.txt. The final screen must match.",
        "Reverse the binary in /app and write a program that accepts the same licence keys.",
    )
    return roll.choice(tough if hard else easy), 0.75 if hard else 0.06


def chatter(roll: Random) -> Ask:
    """Invent a turn in the middle of a chat at an editor."""
    forms = (
        "what does this do",
        "still the same error",
        "can you shorten it",
        "now with comments please",
        "why is it not printing anything",
        "make it a function",
        "is there a built in for that",
        "thanks, and for strings?",
        "it returns None",
        "what is wrong with my code",
        "rewrite it without the loop",
        "give me just the code",
        "explain the second line",
        "what would the output be",
        "how do i call it",
        "can you write the next function too",
        "does this handle the empty list",
        "add type hints",
        "the test still fails for negative numbers",
        "use a dictionary instead",
        "show me how to import it",
        "can you check my solution",
        "i dont understand the last part",
        "what is the time complexity of this",
        "do the same for columns",
        "write a function that does this for every row",
        "how do I get the last element",
        "continue",
        "ok, go on",
        "why do we need self here",
    )
    text = roll.choice(forms)
    return (text if roll.random() < 0.7 else f"{text[0].upper()}{text[1:]}?"), 0.04


def wish(roll: Random) -> Ask:
    """Invent what people wish for in a chat: whole programs, designs, long answers in a special field."""
    language = roll.choice(LANGUAGES)
    field = roll.choice(
        (
            "an Arduino with two sensors",
            "a browser extension",
            "a trading bot",
            "a multiplayer card game",
            "a ray tracer",
            "a chat server with rooms",
            "a Minecraft plugin",
            "a mobile app for recipes",
            "a neural network for handwriting",
            "a simulation of traffic lights",
            "a scraper that logs in",
            "a text adventure",
            "a music visualiser",
            "a parking lot system",
            "a compiler for arithmetic",
            "an inventory system with roles",
        )
    )
    forms = (
        f"Write a complete {language} program for {field}.",
        f"Write me code for {field}. It must work out of the box, with error handling and a short explanation of each part.",
        f"How would you design {field}? Give the components, data model and the interfaces, then the core in {language}.",
        f"I want to build {field} in {language}. Think step by step, then give all files.",
        f"Create {field} with {language} and plot the results.",
        f"You are a senior engineer. Draft a technical specification for {field}, with milestones and risks.",
        f"Compare three ways to build {field} in {language} and implement the best one.",
        f"Here is my idea for {field}: it reads its rules from a file, checks them and shows conflicts. Write the {language} library with a generic interface.",
        f"Explain how {field} works inside and show a minimal {language} implementation with tests.",
    )
    return roll.choice(forms), 0.78


MAKERS = (stub, stub, frame, frame, query, report, report, exercise, edit, trace, shell, chatter, chatter, wish, wish)
