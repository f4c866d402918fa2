"""Invented requests with the odds that they need the deep tier, so that kinds missing from the data are not unknown.

The labelled data covers a dozen families. Real traffic has many more kinds of request; for those, this file states
what its author expects, in the author's own words: (odds, forms). Forms have slots that are filled at random. Nothing
here is taken from a benchmark, and training weighs it lightly (`train_router.py`).
"""

import random
import re

from shapes import MAKERS

SLOTS: dict[str, tuple[str, ...]] = {
    "lang": ("Python", "TypeScript", "Go", "Rust", "Java", "C++", "C#", "Kotlin", "Ruby", "PHP", "Swift", "Scala", "JavaScript", "Elixir", "Haskell", "C", "bash", "SQL"),
    "lib": ("React", "Django", "FastAPI", "Spring Boot", "Express", "pandas", "NumPy", "PyTorch", "Rails", "Vue", "Tokio", "gRPC", "Kafka", "Redis", "Postgres", "SQLAlchemy", "Next.js", "Flutter", "Qt", "Terraform", "Kubernetes", "Celery", "Flask", "LangChain", "OpenGL", "matplotlib"),
    "small": ("a string", "a list of integers", "a dictionary", "a date", "an array", "a file name", "two numbers", "a tuple", "a matrix", "a sentence", "a linked list", "a set of words", "a JSON object", "a csv line"),
    "act": ("reverse", "sort", "count the vowels in", "find the largest element of", "remove duplicates from", "flatten", "sum", "split", "check the length of", "convert to uppercase", "print", "format", "rotate", "filter the even numbers of", "find the index of an item in", "merge"),
    "fn": ("parse_config", "getUser", "load_items", "renderList", "handleClick", "compute_total", "fetchOrders", "normalize", "is_valid", "toSlug", "retry", "build_index", "main", "validateForm", "flush"),
    "cls": ("OrderService", "UserRepository", "Scheduler", "Parser", "SessionStore", "Router", "EventBus", "CacheLayer", "PaymentGateway", "Tokenizer", "GameBoard", "Inventory", "ConnectionPool", "QueryBuilder"),
    "var": ("tmp", "data", "userId", "count", "result", "cfg", "idx", "payload", "total", "isReady"),
    "thing": ("login page", "orders table", "search endpoint", "upload form", "settings panel", "report", "invoice", "calendar", "chat window", "shopping cart", "dashboard", "notification service", "importer", "billing job", "user profile"),
    "system": ("job queue", "rate limiter", "key-value store", "web crawler", "message broker", "file sync service", "multiplayer game server", "billing pipeline", "search engine", "stream processor", "plugin system", "collaborative text editor", "payment ledger", "recommendation service", "build system", "compiler front end", "trading simulator", "blockchain node", "garbage collector", "database engine"),
    "quality": ("thread safe", "idempotent", "backwards compatible", "fault tolerant", "horizontally scalable", "lock free", "crash consistent", "exactly once", "zero downtime", "memory efficient", "cache friendly", "real time"),
    "algo": ("a segment tree with lazy propagation", "minimum cost flow", "suffix automata", "the travelling salesman problem", "a persistent red-black tree", "dynamic programming over subsets", "A* on a weighted grid", "a linear programming solver", "a regular expression engine", "constraint propagation", "Raft leader election", "a B+ tree with range scans", "Monte Carlo tree search", "an LR(1) parser", "sparse matrix factorisation", "convex hull trick optimisation", "type inference with unification", "operational transform", "a Kalman filter", "genetic optimisation"),
    "easy": ("a stack", "bubble sort", "the factorial", "a palindrome check", "the Fibonacci numbers", "binary search", "FizzBuzz", "a prime test", "a temperature converter", "a leap year check", "a word counter", "the greatest common divisor", "an average", "a vowel counter", "a simple calculator"),
    "bug": ("a race condition", "a deadlock", "a memory leak", "a use after free", "intermittent timeouts", "data corruption under load", "a segfault in release builds only", "a flaky integration test", "stale reads after failover", "a slow query that only shows up in production", "wrong results when two workers run at once", "a stack overflow in deep recursion", "precision loss in the totals", "an infinite loop in the scheduler"),
    "typo": ("a missing semicolon", "an indentation error", "a typo in the variable name", "an unused import", "a missing closing bracket", "an undefined variable", "a wrong file path", "a syntax error", "a missing return", "an off by one in the range"),
    "err": ("TypeError: 'NoneType' object is not subscriptable", "IndexError: list index out of range", "KeyError: 'id'", "NullPointerException", "undefined is not a function", "cannot find symbol", "expected ';' before '}' token", "ModuleNotFoundError: No module named 'requests'", "ZeroDivisionError: division by zero", "NameError: name 'x' is not defined", "SyntaxError: invalid syntax"),
    "mod": ("core", "auth", "query", "models", "serializer", "http client", "template engine", "migrations", "cli", "scheduler", "router", "codegen", "type checker", "plotting backend", "optimizer", "session middleware", "tokenizer", "linker", "parser", "config loader"),
    "n": ("2", "3", "5", "10", "20", "100", "1000"),
    "big": ("10^5", "2*10^5", "10^9", "10^6", "10^18", "500000"),
    "actor": ("Alice", "a farmer", "the king", "a robot", "a courier", "Polycarp's friend", "a chef", "an architect", "a dragon", "a gardener"),
    "unit": ("stones", "cities", "cards", "towers", "lamps", "islands", "tasks", "packets", "segments", "permutations", "strings", "intervals"),
}  # fmt: skip

KINDS: tuple[tuple[float, tuple[str, ...]], ...] = (
    # Side work of clients: titles, names, summaries, messages.
    (0.01, (
        "Generate a short title for this conversation.", "Give this chat a title of at most six words.", "Summarize the conversation so far in one sentence.",
        "Write a commit message for the staged changes.", "Suggest a branch name for this ticket: {thing} does not load.", "Summarise this pull request for the release notes.",
        "Name this session in three words.", "Write a changelog entry: we fixed the {thing}.", "Describe this diff in one line.", "Write a pull request description for these changes.",
        "Reply with the language of this snippet only.", "Does this message start a new topic? Answer yes or no.", "Extract the file paths from the output of this command.",
    )),
    # Words about code, not code.
    (0.05, (
        "Add a docstring to `{fn}`.", "Write comments for this function.", "Explain what this code does.", "What does this line mean?", "Translate these comments into English.",
        "Document the parameters of {cls}.", "Fix the grammar in this README section.", "Add type hints to {fn}.", "Write a JSDoc block for {fn}.", "Explain this error: {err}",
        "Explain {fn} to a beginner in two sentences.", "What is the difference between a list and a tuple?", "Is {lib} still maintained?", "What does {lib} do?", "Convert this markdown table to HTML.",
    )),
    # Small edits at one place.
    (0.04, (
        "Rename `{var}` to `{fn}`.", "Rename the variable {var} everywhere in this file.", "Remove the unused imports.", "Sort the imports.", "Format this file.", "Change the port to {n}000.",
        "Replace print with logging here.", "Change the text of the button to Save.", "Make this label bold.", "Add a null check before this line.", "Bump the version to 1.{n}.0.",
        "Delete the commented out code.", "Add a .gitignore entry for build output.", "Extract this constant.", "Turn this loop into a list comprehension.", "Wrap this in a try/except.",
        "Add console.log before the return.", "Use const instead of let.", "Complete the next line.", "Fill in the missing arguments.", "Install {lib} with the package manager.", "Run the tests.", "Create an empty file named {var}.txt.",
        "Make this field optional.", "Invert the condition.", "Replace single quotes with double quotes.", "Add a trailing newline.", "Change the color of the {thing} to blue.",
    )),
    # How do I, one step.
    (0.05, (
        "how do I {act} {small} in {lang}?", "how to {act} {small}", "what is the {lang} function to {act} {small}", "{lang} {act} {small}", "how to read a file line by line in {lang}",
        "how do you declare a variable in {lang}", "syntax for a for loop in {lang}", "how to install {lib}", "how can I convert a string to an int in {lang}", "what is the command to list branches in git",
        "how do I undo the last commit", "how to make an http get request in {lang}", "{lang} one liner to {act} {small}", "show me an example of a switch statement in {lang}", "how do I center a div",
        "how to join two tables in SQL", "regex to match an email", "what does ** do in {lang}", "how to exit vim", "in {lang}, how can I {act} {small} without a loop?",
    )),
    # Small functions, well specified.
    (0.10, (
        "Write a {lang} function to {act} {small}.", "Write a function that takes {small} and returns it after you {act} it.", "Implement {easy} in {lang}.", "Write {easy}.", "Create a {lang} program for {easy} with input from the user.",
        "Write a function {fn} which returns true if {small} is empty.", "def {fn}(xs):\n    \"\"\"Return the {n} largest values of xs, in order.\"\"\"", "Write a SQL query that selects all users older than {n}.",
        "Complete the function so that it returns the sum of {small}.", "Write a python function {fn}(a, b) that adds the two and returns the total; assert {fn}(1, 2) == 3.", "Write a class Point with x and y and a distance method.",
        "Please write code for {easy}, return the result, do not print.", "Write a unit test for {fn}.", "Write a bash script that deletes files older than {n} days.", "Write a regex for phone numbers.", "Create a simple {lib} component that shows {small}.",
    )),
    # Small repairs.
    (0.10, (
        "Fix {typo}.", "I get {err}. What is wrong?", "{err} how do I fix this", "Why does this print None?", "This has {typo}, please fix.", "my code does not run: {err}",
        "There is {typo} in this snippet; return the corrected code.", "Why is {var} undefined here?", "The test fails with {err}, the list is empty in that case.", "fix this lint error", "it says {err} on line {n}",
    )),
    # Function-size work with some thought in it.
    (0.30, (
        "Write unit tests for {cls} that cover the error paths.", "Add pagination to the {thing}.", "Write a {lang} script that downloads all pages of an API, retries on failure and writes a csv.", "Add input validation to the {thing} and show the messages next to the fields.",
        "Convert this {lang} code to {lang}.", "Write a SQL query for the top {n} customers per month with their share of the total.", "Group the data frame by week, fill the gaps and plot the rolling mean with {lib}.",
        "Add a command line option --{var} that limits the output and document it.", "Write a parser for simple ini files in {lang}, with comments and sections.", "Implement an LRU cache in {lang} with get and put in constant time.",
        "Write a decorator that retries with exponential backoff and jitter.", "Refactor {fn} to remove the duplication.", "Make {fn} faster, it is called in a loop.", "Write a Dockerfile for a {lib} app with a multi stage build.",
        "Write a GitHub workflow that runs the tests on three versions.", "I have a dataframe with columns {var} and total. For each group I want the rows where the total is larger than the mean of the previous {n} rows. How can I do this with {lib}?",
        "Implement merge sort on a linked list in {lang} without recursion.", "Add a dark mode toggle that is remembered.", "Create a REST endpoint that returns the {thing} as csv.", "Mock the {lib} client in this test.",
    )),
    # Reading code closely: what it does for one input, or which input makes it do that.
    (0.45, (
        "What does {fn}({n}) return for this code?", "What will this print?", "Predict the output of this program without running it.", "Which input makes {fn} return {n}?", "Trace this function for the list [{n}, {n}].",
        "Find an argument for which the result is '{var}'.", "What is the value of {var} after the loop?",
    )),
    # A snippet with a planted fault, no message to go by.
    (0.25, (
        "Find the bug in this code and correct it.", "This function gives wrong results, repair it.", "Something is off here. Return the fixed version.", "Fix the code so that all tests pass.", "The following {lang} code is faulty, give me the corrected code.",
        "Debug this and explain the change briefly.", "Why does {fn} give the wrong answer for large inputs? Fix it.",
    )),
    # Repository work for an agent, one sentence.
    (0.55, (
        "Fix the failing test in tests/test_{mod}.py.", "Users report that the {thing} is slow, find out why and fix it.", "Resolve the issue: {cls} ignores {var} when {lib} is used.", "Add support for {quality} writes to {cls}.", "The {thing} breaks after upgrading {lib}, make it work again.",
    )),
    # Whole small programs wished for in chat, with wishes that must all hold.
    (0.75, (
        "Write the code for a space shooter game in {lang}. The player moves with the arrow keys, enemies get faster, there are {n} levels, a score and a game over screen.",
        "Create a web app with {lib} that lets users draw on a canvas, save the drawing and share it by link. It should look beautiful.", "I have a csv with questions and answers. How do I build and train a small language model on it from scratch? Give me the full code.",
        "Make a tool in {lang} that watches a folder, extracts the text of each pdf, finds names and dates and writes them to a database with a search page.", "write a {lib} plugin that adds a gizmo to move the selected object along its local axis while dragging",
        "I have a table with one row per visit: time, user and page. A session is a run of visits with gaps under {n} minutes. Compute sessions per day, their mean length and the bounce rate in SQL.",
        "Write state of the art code to extract relations from articles with a transformer model.", "Can you write a proof of concept of a {system} in {lang} that is {quality}?", "Here is my {lang} code for a slot machine. Change it so that three of a kind pay {n} and the player keeps the balance between rounds, with all edge cases.",
        "Create a bot that trades on the exchange with a moving average strategy, backtest it and plot the results.", "Write an article that explains {lib} to analysts, step by step with examples, at least {n}00 words.",
    )),
    # Several parts, or knowledge that must fit together.
    (0.60, (
        "Build a {thing} with {lib} and {lib}: list, detail and edit views, optimistic updates and tests.", "Implement {algo} in {lang} and explain the complexity.", "Write a complete {lang} program for a {system}, with persistence and a command line.",
        "Write a {lib} training loop with mixed precision, gradient accumulation, checkpointing and early stopping.", "Port the {mod} module from {lang} to {lang}, keep the public interface and the tests.", "Create a chess engine in {lang} with alpha-beta search.",
        "Implement an interpreter for a small language with closures in {lang}.", "Write a CUDA kernel for a tiled matrix product and compare it with the library.", "Add row level permissions to the {thing} across models, endpoints and the admin.",
        "Split {cls} into smaller classes without changing behaviour; it is used in several modules.", "Write a solver that assigns {n} people to shifts with these constraints: no two nights in a row, fair weekends, at most {n} hours a week. Minimize the overtime.",
        "Simulate a predator and prey model and fit its parameters to the data with {lib}.", "Add streaming responses to the client and the server, with cancellation.", "Migrate the {thing} from callbacks to async code in all modules.",
        "Write an ADMM optimiser for a distributed lasso in {lang}.", "Implement OAuth login with refresh tokens, rotation and logout for {lib}.", "I need a generic type in {lang} that maps, zips and folds over its fields with full static types.",
    )),
    # Hard on purpose.
    (0.85, (
        "Design a {system} that is {quality} and {quality}. Discuss the trade-offs and give the interfaces.", "We see {bug} in the {system}. Find the root cause.", "Find and fix {bug} in {cls}; it only happens under heavy concurrency.",
        "Make the {system} {quality} without a schema change and without breaking old clients.", "Prove that this algorithm terminates and find its worst case.", "Redesign the {mod} so that {cls} no longer depends on {cls}; propose a migration path with intermediate releases.",
        "Review the architecture of the {system} and list the risks.", "Profile the {system} and bring the p99 latency down by half; memory must not grow.", "Implement {algo} in {lang}, {quality}, with a proof sketch of the invariants and property tests.",
        "Write a {quality} {system} in {lang} from scratch with snapshots, compaction and recovery after a crash.", "After the upgrade of {lib} we get {bug}. The stack trace points into the {mod} but the values are already wrong before. Debug it.",
        "Plan the migration of the {system} from a monolith to services, with rollback at each step.", "Optimise the query planner for joins over {n} tables.", "Reverse engineer this binary protocol and write a decoder.", "Find the security holes in the {mod} and fix them without changing the interface.",
        "Implement {algo} and use it to solve the scheduling problem with {n} machines, setup times and due dates; minimise the total tardiness.",
    )),
)  # fmt: skip


def fill(form: str, roll: random.Random) -> str:
    """Fill the slots of a form.

    >>> fill("Add {n} to {n}.", random.Random(1)).startswith("Add ")
    True
    """
    return re.sub(r"\{(\w+)\}", lambda m: roll.choice(SLOTS[m[1]]), form)


def contest(roll: random.Random) -> tuple[str, float]:
    """Invent a contest problem; more rules and larger bounds make it harder."""
    hard = roll.random()
    story = fill(roll.choice((
        "{actor} has n {unit} standing in a row, the i-th of them has value a_i.",
        "You are given an integer array nums and an integer k.",
        "There are n {unit} connected by m roads, each with a positive cost.",
        "You are given a string s of lowercase letters and an array of {unit}.",
        "{actor} plays a game with n {unit}.",
        "A permutation p of length n describes the order of the {unit}.",
        "Given a tree with n nodes, every node holds a number.",
        "You are given a 0-indexed m x n grid of integers.",
    )), roll)  # fmt: skip
    easy_goals = (
        "Print the sum of the values.",
        "Return the largest value.",
        "Find how many values are even.",
        "Return true if the string reads the same from both ends.",
        "Count how often k occurs.",
        "Return the array after moving all zeros to the end.",
    )
    hard_goals = (
        "Find the minimum number of operations that makes all values equal, or -1 if it cannot be done.", "Count the number of ways to do it. As the answer can be large, print it modulo 998244353.",
        "Answer q queries; each one changes a value or asks for the maximum over a range.", "Both play optimally. Who wins?", "Return the length of the longest subsequence for which no two neighbours differ by more than k.",
        "Find the maximum total value such that no two chosen ones overlap and at most k are used.", "Find the expected number of moves.", "Determine the lexicographically smallest result that can be reached with at most k swaps.",
    )  # fmt: skip
    parts = [story, roll.choice(hard_goals if hard > 0.4 else easy_goals)]
    if hard > 0.7:
        parts.insert(
            1,
            roll.choice(
                (
                    "In one move you may choose two adjacent ones and replace them by their bitwise xor.",
                    "In one operation you can pick a subarray and add 1 to each of its elements.",
                    "A pair is called good if the sum of its values is a power of two.",
                    "You may remove at most one edge, and its cost is then paid twice.",
                )
            ),
        )
    style = roll.random()
    if style < 0.5:
        parts.append(
            fill(
                "\nInput\nThe first line contains the number of test cases t. Each test case has an integer n (1 <= n <= {big}), then n integers.\n\nOutput\nFor each test case print one integer."
                if hard > 0.3
                else "\nInput\nOne line with n (1 <= n <= 100), then n integers.\n\nOutput\nPrint the answer.",
                roll,
            )
        )
    else:
        parts.append(
            fill(
                "\nExample 1:\nInput: nums = [3,1,2], k = {n}\nOutput: 4\n\nConstraints:\n1 <= nums.length <= {big}\n0 <= nums[i] <= {big}"
                if hard > 0.3
                else "\nExample 1:\nInput: nums = [3,1,2]\nOutput: 3\n\nConstraints:\n1 <= nums.length <= 100",
                roll,
            )
        )
    return " ".join(parts), 0.15 + 0.65 * (hard > 0.4) + 0.1 * (hard > 0.7)


def issue(roll: random.Random) -> tuple[str, float]:
    """Invent a bug report against a library; what names its own fix is easier than what spans modules."""
    hard = roll.random()
    title = fill(roll.choice((
        "{cls}.{fn} raises when {small} is empty", "{fn}() ignores the {var} argument", "Regression in the {mod} since 4.{n}", "{mod}: wrong result with nested {unit}",
        "Deprecation warning from {lib} in the {mod}", "{cls} loses state after pickling", "Incorrect type for {var} when used with {lib}", "{mod} does not respect the {var} option", "Panic in the {mod} on unicode input",
    )), roll)  # fmt: skip
    parts = [title, roll.choice(("", "### Describe the bug", "Description", "**What happened**", "### Problem"))]
    parts.append(
        fill(
            "When calling `{cls}.{fn}` with a value of {n} the {mod} returns the wrong result. I expected the {var} to be kept.",
            roll,
        )
    )
    if hard > 0.4:
        parts.append(
            fill(
                "```\nfrom lib.{var} import {cls}\nx = {cls}({n})\nx.{fn}({var}=True)\n```\n\nThis used to work before the {mod} was rewritten. It also depends on whether the {mod} is loaded first, and only happens with {lib}.",
                roll,
            )
        )
    if hard > 0.7:
        parts.append(
            fill(
                "The same happens in {cls}, because both go through the {mod}. A proper fix would have to keep the old behaviour for subclasses, {quality}. We should discuss whether {fn} belongs there at all.",
                roll,
            )
        )
    if hard < 0.25:
        parts.append(fill("The fix is trivial: in `{fn}` replace `if {var}` by `if {var} is not None`.", roll))
    return "\n".join(parts), 0.35 + 0.3 * (hard >= 0.25) + 0.15 * (hard > 0.7)


EASY_RULES = (
    ("returns the number of {unit} whose value is even", "count"), ("checks whether a string is a palindrome, ignoring case", "check"),
    ("returns the second largest number of a list", "pick"), ("joins two lists without duplicates", "join"), ("returns the sum of the digits of n", "digits"),
    ("removes every vowel from a text", "strip"), ("finds the first repeated character", "first"), ("multiplies all numbers of a tuple", "product"),
    ("returns true if all brackets are closed", "closed"), ("rotates a list k places to the left", "rotate"), ("converts degrees to radians", "convert"),
    ("counts how often each word occurs", "words"), ("finds the n-th number of the series 1, 2, 4, 8", "nth"), ("sorts people by age and then by name", "order"),
)  # fmt: skip
HARD_RULES = (
    ("returns the longest run of {unit} such that no two that touch share a divisor, and of several the leftmost", "longest"),
    ("splits the list into k parts so that the largest sum of a part is as small as possible", "split"),
    ("evaluates an expression with +, -, *, /, unary minus, brackets and variables, with the usual precedence", "evaluate"),
    ("merges overlapping bookings, keeps the priorities and reports which were cut", "merge"), ("counts the ways to tile a 3 by n board with dominoes", "tile"),
    ("formats a paragraph fully justified to a width, the last line to the left", "justify"), ("computes the edit script between two texts with the fewest moves", "script"),
    ("finds the smallest number larger than n that has the same bits set", "next"), ("schedules jobs with deadlines and profits on m machines", "plan"),
    ("parses a pattern with *, ?, [a-z] and {{1,3}} and matches it against a text", "match"),
)  # fmt: skip
HEADS = (
    "def {name}(xs, k):\n    \"\"\"{rule}.\"\"\"", "function {name}(xs, k) {{\n  // {rule}\n}}", "fn {name}(xs: &[i64], k: usize) -> i64 {{\n    // {rule}\n}}",
    "func {name}(xs []int, k int) int {{\n\t// {rule}\n}}", "public static int {name}(int[] xs, int k) {{\n    // {rule}\n}}", "int {name}(const std::vector<int>& xs, int k) {{\n  // {rule}\n}}",
)  # fmt: skip
ASSERTS = (
    "assert {name}([1, 2, 3], 2) == {n}",
    "{name}([4, 4, 1], 1) should be {n}",
    ">>> {name}([], 0)\n{n}",
    "assertEquals({n}, {name}(new int[]{{1, 2}}, 1));",
    "expect({name}([5], 1)).toBe({n});",
)


def spec(roll: random.Random) -> tuple[str, float]:
    """Invent the specification of one function, in one of the usual forms."""
    hard = roll.random() < 0.35
    rule, name = roll.choice(HARD_RULES if hard else EASY_RULES)
    rule = fill(rule, roll)
    checks = "\n".join(fill(form.replace("{name}", name), roll) for form in roll.sample(ASSERTS, roll.randint(0, 3)))
    form = roll.randrange(4)
    if form == 0:
        text = f"Write a {roll.choice(SLOTS['lang'])} function {name} that {rule}.\n{checks}"
    elif form == 1:
        head = roll.choice(HEADS).replace("{name}", name).replace("{rule}", rule).replace("{{", "{").replace("}}", "}")
        text = f"Complete the following function.\n\n```\n{head}\n```\n{checks}"
    elif form == 2:
        text = f"write a function which {rule}\n{checks}"
    else:
        text = f"Implement `{name}` so that it {rule}. These must pass:\n{checks}"
    return text.strip(), 0.45 if hard else 0.08


def frame(roll: random.Random) -> tuple[str, float]:
    """Invent a question about tabular or numeric data with a sample of it."""
    easy = (
        "drop the rows where b is missing",
        "rename column a to id",
        "get the mean of b for each a",
        "sort by b, largest first",
        "select the rows where a is x",
    )
    hard = (
        "for each a, mark the rows where b rose three times in a row, without a loop",
        "pivot so that each day becomes a column, fill gaps forward at most twice, and keep the order of first appearance",
        "join on the nearest earlier time within five minutes and count what found no partner",
    )
    tough = roll.random() < 0.5
    return fill(
        f"I have this data frame:\n\n   a   b\n0  x  {{n}}\n1  y  {{n}}\n2  x  {{n}}\n\nI want to {roll.choice(hard if tough else easy)}. How do I do this with {{lib}}?",
        roll,
    ), 0.45 if tough else 0.08


def invent(count: int, seed: int = 7) -> list[tuple[str, float]]:
    """Return invented asks with the odds that each needs the deep tier."""
    roll = random.Random(seed)
    makers = (contest, contest, contest, issue, spec, frame, *MAKERS)
    asks = [makers[n % len(makers)](roll) for n in range(count * 3 // 5)]
    forms = [(form, odds) for odds, group in KINDS for form in group]
    asks += [(fill(form, roll), odds) for form, odds in (forms[n % len(forms)] for n in range(count - len(asks)))]
    return asks
