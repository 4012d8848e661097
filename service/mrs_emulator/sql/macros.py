"""
Functions of Spark, Hive and Presto whose answers DuckDB's own functions do not give, as DuckDB macros.

`meaning.py` puts their names into statements. A macro that meets a type it cannot play raises an error with
`REFUSED` in its text; `wording.py` turns that into the refusal.

Source: Spark 3.5.3, Hive 3.1.3 and Presto 333, recorded in `tests/unit/emulator/expressions/` (`make oracles`).
"""

from __future__ import annotations

from typing import Final

REFUSED: Final = "not played: "
"""What the errors begin with that the macros raise for what they cannot play."""

FAILED: Final = "engine: "
"""What the errors begin with that the engine itself would raise; the rest is in its words."""

_WHOLE: Final = "typeof(x) IN ('TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT')"
_FLOAT: Final = "typeof(x) IN ('FLOAT', 'DOUBLE')"
_TEXT: Final = "CAST(x AS VARCHAR)"
_BITS: Final = {"bigint": 64, "int": 32, "smallint": 16, "tinyint": 8}


def _java_int(name: str) -> str:
    """Cast as Java does: numbers lose their fraction and wrap, texts that are no number or too large become NULL."""
    bits = _BITS[name]
    least, most = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    whole = f"TRY_CAST(regexp_extract({_TEXT}, '^-?[0-9]+') AS HUGEINT)"
    wrapped = f"((({whole} + {-least}) % {2**bits} + {2**bits}) % {2**bits} - {-least})"  # % has the dividend's sign
    number = f"TRY_CAST({_TEXT} AS DOUBLE)"
    digits = f"regexp_extract(trim({_TEXT}), '^[+-]?([0-9]+(?:[.][0-9]*)?|[.][0-9]+)$')"
    text = f"TRY_CAST(regexp_extract({digits}, '^[+-]?[0-9]+') AS {name})"

    return f"""CREATE MACRO __{name}(x) AS CASE
        WHEN x IS NULL THEN NULL
        WHEN typeof(x) = 'VARCHAR' THEN {text}
        WHEN typeof(x) = 'BOOLEAN' THEN CASE {_TEXT} WHEN 'true' THEN 1 ELSE 0 END
        WHEN {_WHOLE} OR typeof(x) LIKE 'DECIMAL%' THEN CAST({wrapped} AS {name})
        WHEN {_FLOAT} THEN CASE WHEN isnan({number}) THEN 0 WHEN {number} >= {most} THEN {most}
            WHEN {number} <= {least} THEN {least} ELSE TRY_CAST(trunc({number}) AS {name}) END
        WHEN typeof(x) = 'TIMESTAMP' THEN CAST(floor(epoch(TRY_CAST({_TEXT} AS TIMESTAMP))) AS {name})
        ELSE CAST(__error('{REFUSED}CAST from ' || typeof(x) || ' to {name}') AS {name}) END"""


def _presto_int(name: str, prefix: str = "__presto_", *, strict: bool = True) -> str:
    """Cast as Presto does: round half away from zero, texts must be whole numbers; else an error, or NULL."""
    text = f"CASE WHEN regexp_full_match({_TEXT}, '[+-]?[0-9]+') THEN TRY_CAST({_TEXT} AS {name}) END"
    shown = {"int": "INT"}.get(name, name.upper())
    refused = f"__error('{FAILED}Cannot cast ''' || {_TEXT} || ''' to {shown}')" if strict else "NULL"
    far = f"__error('{FAILED}Out of range for {name}: ' || {_TEXT})" if strict else "NULL"
    rounded = f"TRY_CAST(round(TRY_CAST({_TEXT} AS DECIMAL(38, 10))) AS {name})"
    near = f"TRY_CAST(round(TRY_CAST({_TEXT} AS DOUBLE)) AS {name})"

    return f"""CREATE MACRO {prefix}{name}(x) AS CAST(CASE
        WHEN x IS NULL THEN NULL
        WHEN typeof(x) = 'VARCHAR' THEN coalesce({text}, CAST({refused} AS {name}))
        WHEN typeof(x) = 'BOOLEAN' THEN CASE {_TEXT} WHEN 'true' THEN 1 ELSE 0 END
        WHEN {_WHOLE} THEN coalesce(TRY_CAST({_TEXT} AS {name}), CAST({far} AS {name}))
        WHEN typeof(x) LIKE 'DECIMAL%' THEN coalesce({rounded}, CAST({far} AS {name}))
        WHEN {_FLOAT} THEN coalesce({near}, CAST({far} AS {name}))
        ELSE CAST(__error('{REFUSED}Cannot cast ' || lower(typeof(x)) || ' to {name}') AS {name})
        END AS {name})"""


def _presto_casts(prefix: str, *, strict: bool) -> tuple[str, ...]:
    """Return the casts of Presto: what does not fit is an error of CAST, and NULL of TRY_CAST."""

    def failed(text: str) -> str:
        return f"__error('{FAILED}{text}')" if strict else "NULL"

    boolean = failed(f"Cannot cast ''' || {_TEXT} || ''' to BOOLEAN")
    double = failed(f"Cannot cast ''' || {_TEXT} || ''' to DOUBLE")
    date = failed(f"Value cannot be cast to date: ' || {_TEXT} || '")
    return (
        *(_presto_int(name, prefix, strict=strict) for name in _BITS),
        f"""CREATE MACRO {prefix}bool(x) AS CASE WHEN x IS NULL THEN NULL
        WHEN typeof(x) = 'BOOLEAN' THEN {_TEXT} = 'true'
        WHEN typeof(x) = 'VARCHAR' THEN CASE WHEN lower({_TEXT}) IN ('t', 'true', '1') THEN true
            WHEN lower({_TEXT}) IN ('f', 'false', '0') THEN false ELSE CAST({boolean} AS BOOLEAN) END
        ELSE TRY_CAST({_TEXT} AS DOUBLE) <> 0 END""",
        f"""CREATE MACRO {prefix}double(x) AS CASE WHEN x IS NULL THEN NULL
        WHEN typeof(x) = 'BOOLEAN' THEN CASE {_TEXT} WHEN 'true' THEN 1e0 ELSE 0e0 END
        WHEN regexp_full_match({_TEXT}, '\\s*[+-]?(?i:inf|infinity|nan)\\s*')
            AND NOT regexp_full_match({_TEXT}, '\\s*[+-]?(Infinity|NaN)\\s*') THEN CAST({double} AS DOUBLE)
        ELSE coalesce(TRY_CAST(trim({_TEXT}) AS DOUBLE), CAST({double} AS DOUBLE)) END""",
        f"""CREATE MACRO {prefix}date(x) AS CASE WHEN x IS NULL THEN NULL
        WHEN typeof(x) = 'VARCHAR' AND NOT regexp_full_match({_TEXT}, '\\s*[0-9]{{4,}}-[0-9]{{1,2}}-[0-9]{{1,2}}\\s*')
            THEN CAST({date} AS DATE)
        ELSE coalesce(TRY_CAST(regexp_extract({_TEXT}, '[0-9]{{4,}}-[0-9]{{1,2}}-[0-9]{{1,2}}') AS DATE),
            CAST({date} AS DATE)) END""",
    )


_JAVA_DOUBLE_TEXT = f"""CASE
        WHEN isnan(CAST(x AS DOUBLE)) THEN 'NaN'
        WHEN isinf(CAST(x AS DOUBLE)) THEN CASE WHEN CAST(x AS DOUBLE) > 0 THEN 'Infinity' ELSE '-Infinity' END
        WHEN CAST(x AS DOUBLE) = 0 THEN {_TEXT}
        WHEN abs(CAST(x AS DOUBLE)) >= 0.001 AND abs(CAST(x AS DOUBLE)) < 10000000
            AND {_TEXT} NOT LIKE '%e%' THEN {_TEXT}
        ELSE __error('{REFUSED}text of a floating-point number with an exponent') END"""

MACROS: Final[tuple[str, ...]] = (
    # A cast that fails: unlike error() it is not volatile, so filters are still pushed down and TRY may hold it.
    "CREATE MACRO __error(x) AS CAST(CAST(x AS UTINYINT) AS VARCHAR)",
    *map(_java_int, _BITS),
    # Casts of Spark and Hive: what does not fit is NULL.
    f"""CREATE MACRO __double_text(x) AS {_JAVA_DOUBLE_TEXT}""",
    f"""CREATE MACRO __text(x) AS CASE WHEN x IS NULL THEN NULL
        WHEN typeof(x) IN ('VARCHAR', 'BOOLEAN', 'DATE') OR {_WHOLE} OR typeof(x) LIKE 'DECIMAL%' THEN {_TEXT}
        WHEN typeof(x) = 'TIMESTAMP' THEN regexp_replace({_TEXT}, '([.][0-9]*[1-9])0+$', '\\1')
        WHEN {_FLOAT} THEN __double_text(TRY_CAST({_TEXT} AS DOUBLE))
        ELSE __error('{REFUSED}CAST from ' || typeof(x) || ' to string') END""",
    f"""CREATE MACRO __bool(x) AS CASE WHEN x IS NULL THEN NULL
        WHEN typeof(x) = 'BOOLEAN' THEN {_TEXT} = 'true'
        WHEN typeof(x) = 'VARCHAR' THEN CASE WHEN lower(trim({_TEXT})) IN ('t', 'true', 'y', 'yes', '1') THEN true
            WHEN lower(trim({_TEXT})) IN ('f', 'false', 'n', 'no', '0') THEN false END
        WHEN {_WHOLE} OR {_FLOAT} OR typeof(x) LIKE 'DECIMAL%' THEN TRY_CAST({_TEXT} AS DOUBLE) <> 0
        ELSE CAST(__error('{REFUSED}CAST from ' || typeof(x) || ' to boolean') AS BOOLEAN) END""",
    f"""CREATE MACRO __double(x) AS CASE WHEN x IS NULL THEN NULL
        WHEN typeof(x) = 'BOOLEAN' THEN CASE {_TEXT} WHEN 'true' THEN 1e0 ELSE 0e0 END
        WHEN typeof(x) = 'TIMESTAMP' THEN epoch(TRY_CAST({_TEXT} AS TIMESTAMP))
        WHEN typeof(x) = 'DATE' THEN CAST(__error('{REFUSED}CAST from DATE to double') AS DOUBLE)
        ELSE TRY_CAST(trim({_TEXT}) AS DOUBLE) END""",
    # Hive takes the thirteenth month for the first of the next year; Spark and the others take it for nothing.
    f"""CREATE MACRO __no_moment() AS CASE WHEN getvariable('spoken') = 'hive'
        THEN CAST(__error('{REFUSED}a date that the calendar does not have') AS DATE) END""",
    f"""CREATE MACRO __date(x) AS CASE WHEN x IS NULL THEN NULL
        WHEN typeof(x) = 'DATE' THEN TRY_CAST({_TEXT} AS DATE)
        WHEN typeof(x) = 'TIMESTAMP' THEN TRY_CAST(left({_TEXT}, 10) AS DATE)
        WHEN typeof(x) = 'VARCHAR' AND regexp_matches(trim({_TEXT}), '^[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}([ T].*)?$')
            THEN coalesce(TRY_CAST(regexp_extract(trim({_TEXT}), '^[0-9]+-[0-9]+-[0-9]+') AS DATE), __no_moment())
        WHEN typeof(x) = 'VARCHAR' AND regexp_matches(trim({_TEXT}), '^[0-9]{{4}}(-[0-9]{{1,2}})?$')
            THEN CAST(__error('{REFUSED}a date without month or day') AS DATE)
        WHEN typeof(x) = 'VARCHAR' THEN NULL
        ELSE CAST(__error('{REFUSED}CAST from ' || typeof(x) || ' to date') AS DATE) END""",
    f"""CREATE MACRO __timestamp(x) AS CASE WHEN x IS NULL THEN NULL
        WHEN typeof(x) IN ('DATE', 'TIMESTAMP') THEN TRY_CAST({_TEXT} AS TIMESTAMP)
        WHEN typeof(x) = 'VARCHAR' AND regexp_matches(trim({_TEXT}),
            '^[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}([ T][0-9]{{1,2}}:[0-9]{{1,2}}:[0-9]{{1,2}}([.][0-9]{{1,6}})?)?$')
            THEN coalesce(TRY_CAST(trim({_TEXT}) AS TIMESTAMP), CAST(__no_moment() AS TIMESTAMP))
        WHEN typeof(x) = 'VARCHAR' AND NOT regexp_matches({_TEXT}, '[0-9]') THEN NULL
        ELSE CAST(__error('{REFUSED}CAST from ' || typeof(x) || ' to timestamp in this form') AS TIMESTAMP) END""",
    # Texts
    f"""CREATE MACRO __substr(x, p, n) AS CASE
        WHEN typeof(x) <> 'VARCHAR' AND x IS NOT NULL THEN __error('{REFUSED}substr of ' || typeof(x))
        WHEN n <= 0 THEN CASE WHEN x IS NULL OR p IS NULL THEN NULL ELSE '' END
        WHEN p > 0 THEN substring({_TEXT}, p, n)
        WHEN p = 0 THEN substring({_TEXT}, 1, n)
        WHEN -p > length({_TEXT}) THEN substring({_TEXT}, 1, greatest(0, n - (-p - length({_TEXT}))))
        ELSE substring({_TEXT}, length({_TEXT}) + p + 1, n) END""",
    """CREATE MACRO __hive_substr(x, p, n) AS CASE
        WHEN -p > length(CAST(x AS VARCHAR)) THEN '' ELSE __substr(x, p, n) END""",
    """CREATE MACRO __presto_substr(x, p, n) AS CASE WHEN x IS NULL OR p IS NULL OR n IS NULL THEN NULL
        WHEN p = 0 OR n <= 0 OR abs(p) > length(x) THEN ''
        WHEN p > 0 THEN substring(x, p, n) ELSE substring(x, length(x) + p + 1, n) END""",
    "CREATE MACRO __left(x, n) AS left(x, greatest(n, 0))",
    "CREATE MACRO __right(x, n) AS right(x, greatest(n, 0))",
    """CREATE MACRO __locate(sub, x, p) AS CASE WHEN sub IS NULL OR x IS NULL OR p IS NULL THEN NULL
        WHEN p < 1 THEN 0 WHEN strpos(substring(x, p), sub) = 0 THEN 0 ELSE strpos(substring(x, p), sub) + p - 1 END""",
    """CREATE MACRO __lpad(x, n, p) AS CASE WHEN n <= length(x) OR p = '' THEN substring(x, 1, greatest(n, 0))
        ELSE lpad(x, n, p) END""",
    """CREATE MACRO __rpad(x, n, p) AS CASE WHEN n <= length(x) OR p = '' THEN substring(x, 1, greatest(n, 0))
        ELSE rpad(x, n, p) END""",
    """CREATE MACRO __repeat(x, n) AS CASE WHEN x IS NULL OR n IS NULL THEN NULL
        ELSE repeat(x, greatest(n, 0)) END""",
    """CREATE MACRO __initcap(x) AS array_to_string(list_transform(string_split(lower(x), ' '),
        lambda w : upper(left(w, 1)) || substring(w, 2)), ' ')""",
    """CREATE MACRO __substring_index(x, d, n) AS CASE WHEN x IS NULL OR d IS NULL OR n IS NULL THEN NULL
        WHEN n = 0 OR d = '' THEN ''
        WHEN n > 0 THEN array_to_string(string_split(x, d)[1:n], d)
        ELSE array_to_string(string_split(x, d)[greatest(1, len(string_split(x, d)) + n + 1):], d) END""",
    """CREATE MACRO __find_in_set(x, s) AS CASE WHEN x IS NULL OR s IS NULL THEN NULL
        WHEN contains(x, ',') THEN 0 ELSE coalesce(list_position(string_split(s, ','), x), 0) END""",
    """CREATE MACRO __concat_ws(d, l) AS CASE WHEN d IS NOT NULL
        THEN array_to_string(list_filter(l, lambda e : e IS NOT NULL), d) END""",
    "CREATE MACRO __chr(n) AS CASE WHEN n < 0 THEN '' ELSE chr(CAST(n % 256 AS INT)) END",
    """CREATE MACRO __ascii(x) AS CASE WHEN x = '' THEN 0 ELSE unicode(x) END""",
    "CREATE MACRO __space(n) AS repeat(' ', greatest(n, 0))",
    "CREATE MACRO __base64(x) AS to_base64(encode(x))",
    f"""CREATE MACRO __hex(x) AS CASE WHEN {_WHOLE} OR typeof(x) = 'VARCHAR' THEN hex(x)
        ELSE __error('{REFUSED}hex of ' || typeof(x)) END""",
    # Regular expressions: only what RE2 and Java read alike
    f"""CREATE MACRO __re(p) AS CASE WHEN regexp_matches(p, '[(][?]|[\\\\][1-9pPbBGZzQEkxuhHvVR]|[*+?}}][+]|&&')
        THEN __error('{REFUSED}this regular expression, which the engine may read in another way') ELSE p END""",
    f"""CREATE MACRO __by(r) AS CASE WHEN contains(r, '\\') THEN __error('{REFUSED}a backslash in a replacement')
        ELSE regexp_replace(r, '[$]([0-9])', '\\\\\\1', 'g') END""",
    "CREATE MACRO __rlike(x, p) AS regexp_matches(x, __re(p))",
    # Numbers
    """CREATE MACRO __pmod(a, b) AS CASE WHEN b = 0 THEN NULL
        WHEN a % nullif(b, 0) < 0 THEN (a % nullif(b, 0) + b) % nullif(b, 0) ELSE a % nullif(b, 0) END""",
    f"""CREATE MACRO __round(x, d) AS CASE WHEN {_FLOAT} AND NOT isnan(TRY_CAST({_TEXT} AS DOUBLE)) AND coalesce(
            CAST(round(TRY_CAST({_TEXT} AS DECIMAL(38, 18)), d) AS DOUBLE) <> CAST(round(x, d) AS DOUBLE), true)
        THEN cast_to_type(__error('{REFUSED}rounding of this double; cast it to decimal'), round(x, d))
        ELSE round(x, d) END""",
    """CREATE MACRO __ln(x) AS CASE WHEN x > 0 THEN ln(x) END""",
    """CREATE MACRO __log(b, x) AS CASE WHEN x > 0 AND b > 0 AND b <> 1 THEN ln(x) / ln(b) END""",
    """CREATE MACRO __log10(x) AS CASE WHEN x > 0 THEN log10(x) END""",
    """CREATE MACRO __log2(x) AS CASE WHEN x > 0 THEN log2(x) END""",
    "CREATE MACRO __sqrt(x) AS CASE WHEN x < 0 THEN CAST('NaN' AS DOUBLE) ELSE sqrt(x) END",
    "CREATE MACRO __asin(x) AS CASE WHEN abs(x) > 1 THEN CAST('NaN' AS DOUBLE) ELSE asin(x) END",
    "CREATE MACRO __acos(x) AS CASE WHEN abs(x) > 1 THEN CAST('NaN' AS DOUBLE) ELSE acos(x) END",
    "CREATE MACRO __factorial(n) AS CASE WHEN n BETWEEN 0 AND 20 THEN CAST(factorial(CAST(n AS INT)) AS BIGINT) END",
    "CREATE MACRO __sign(x) AS CAST(sign(x) AS DOUBLE)",
    "CREATE MACRO __nanvl(a, b) AS CASE WHEN isnan(a) THEN b ELSE a END",
    # Dates: weekdays, months, days between
    "CREATE MACRO __dayofweek(x) AS dayofweek(__date(x)) + 1",
    "CREATE MACRO __weekday(x) AS isodow(__date(x)) - 1",
    """CREATE MACRO __plus(x, i) AS cast_to_type(x + i, x)""",
    """CREATE MACRO __minus(x, i) AS cast_to_type(x - i, x)""",
    """CREATE MACRO __date_add(x, n) AS __date(x) + CAST(n AS INT)""",
    """CREATE MACRO __days(a, b) AS CAST(__date(a) - __date(b) AS INT)""",
    """CREATE MACRO __add_months(x, n) AS CAST(__date(x) + to_months(CAST(n AS INT)) AS DATE)""",
    """CREATE MACRO __last_day(x) AS last_day(__date(x))""",
    "CREATE MACRO __next(x, n) AS x + CAST((n - isodow(x) + 6) % 7 + 1 AS INT)",
    f"""CREATE MACRO __next_day(x, d) AS CASE lower(left(d, 2))
        WHEN 'mo' THEN __next(__date(x), 1) WHEN 'tu' THEN __next(__date(x), 2) WHEN 'we' THEN __next(__date(x), 3)
        WHEN 'th' THEN __next(__date(x), 4) WHEN 'fr' THEN __next(__date(x), 5) WHEN 'sa' THEN __next(__date(x), 6)
        WHEN 'su' THEN __next(__date(x), 7)
        ELSE CAST(__error('{REFUSED}next_day of an unknown weekday') AS DATE) END""",
    f"""CREATE MACRO __trunc(x, u) AS CAST(CASE
        WHEN lower(u) IN ('year', 'yyyy', 'yy') THEN date_trunc('year', __date(x))
        WHEN lower(u) = 'quarter' THEN date_trunc('quarter', __date(x))
        WHEN lower(u) IN ('month', 'mm', 'mon') THEN date_trunc('month', __date(x))
        WHEN lower(u) = 'week' THEN date_trunc('week', __date(x))
        ELSE CAST(__error('{REFUSED}trunc to this unit') AS DATE) END AS DATE)""",
    """CREATE MACRO __months_between(a, b) AS CASE
        WHEN a IS NULL OR b IS NULL THEN NULL
        WHEN day(__date(a)) = day(__date(b))
            OR (__date(a) = last_day(__date(a)) AND __date(b) = last_day(__date(b)))
        THEN CAST((year(__date(a)) - year(__date(b))) * 12 + month(__date(a)) - month(__date(b)) AS DOUBLE)
        ELSE round((year(__date(a)) - year(__date(b))) * 12 + month(__date(a)) - month(__date(b))
            + (epoch(__timestamp(a)) - epoch(CAST(date_trunc('month', __date(a)) AS TIMESTAMP))
            - epoch(__timestamp(b)) + epoch(CAST(date_trunc('month', __date(b)) AS TIMESTAMP)))
            / 2678400.0e0, 8) END""",
    "CREATE MACRO __unix(x) AS CAST(floor(epoch(__timestamp(x))) AS BIGINT)",
    "CREATE MACRO __from_unix(n) AS strftime(make_timestamp(CAST(n AS BIGINT) * 1000000), '%Y-%m-%d %H:%M:%S')",
    # Arrays and maps
    "CREATE MACRO __size(x) AS CASE WHEN x IS NULL THEN -1 ELSE CAST(cardinality(x) AS INT) END",
    "CREATE MACRO __list_at(x, i) AS CASE WHEN i < 0 THEN NULL ELSE x[i + 1] END",
    "CREATE MACRO __at(x, i) AS CASE WHEN typeof(x) LIKE 'MAP(%' THEN x[i] WHEN i < 0 THEN NULL ELSE x[i + 1] END",
    "CREATE MACRO __array_distinct(x) AS list_filter(x, lambda e, i : list_position(x, e) = i)",
    "CREATE MACRO __json(x, p) AS CASE WHEN json_valid(x) THEN CAST(x AS JSON) ->> p END",
    f"""CREATE MACRO __part(x) AS CASE WHEN x IS NULL THEN NULL
        WHEN typeof(x) LIKE '%[]' OR typeof(x) LIKE 'MAP%' OR typeof(x) LIKE 'STRUCT%' OR typeof(x) = 'BLOB'
            THEN __error('{REFUSED}joining ' || typeof(x)) ELSE __text(x) END""",
    f"""CREATE MACRO __sub(a, b) AS CASE WHEN typeof(a) IN ('DATE', 'TIMESTAMP') AND typeof(b) IN ('DATE', 'TIMESTAMP')
        THEN cast_to_type(__error('{REFUSED}the interval between two dates; use datediff'), a - b) ELSE a - b END""",
    """CREATE MACRO __array_contains(x, v) AS CASE WHEN x IS NULL OR v IS NULL THEN NULL
        WHEN list_contains(x, v) THEN true WHEN len(list_filter(x, lambda e : e IS NULL)) > 0 THEN NULL
        ELSE false END""",
    """CREATE MACRO __array_position(x, v) AS CASE WHEN x IS NULL OR v IS NULL THEN NULL
        ELSE CAST(coalesce(list_position(x, v), 0) AS BIGINT) END""",
    "CREATE MACRO __array_repeat(v, n) AS list_transform(range(greatest(n, 0)), lambda e : v)",
    f"""CREATE MACRO __presto_at(x, i) AS CASE WHEN x IS NULL OR i IS NULL THEN NULL
        WHEN i = 0 THEN cast_to_type(__error('{FAILED}SQL array indices start at 1'), x[1])
        WHEN i < 0 THEN cast_to_type(__error('{FAILED}Array subscript is negative: ' || i), x[1])
        WHEN i > len(x) THEN cast_to_type(__error('{FAILED}Array subscript must be less than or equal to array length: '
            || i || ' > ' || len(x)), x[1])
        ELSE x[i] END""",
    f"""CREATE MACRO __presto_key(x, k) AS CASE WHEN x IS NULL OR k IS NULL THEN NULL
        WHEN NOT list_contains(map_keys(x), k)
            THEN cast_to_type(__error('{FAILED}Key not present in map: ' || k), x[k])
        ELSE x[k] END""",
    f"""CREATE MACRO __presto_text(x) AS CASE WHEN x IS NULL THEN NULL
        WHEN typeof(x) IN ('VARCHAR', 'BOOLEAN', 'DATE') OR {_WHOLE} OR typeof(x) LIKE 'DECIMAL%' THEN {_TEXT}
        WHEN typeof(x) = 'TIMESTAMP' THEN strftime(TRY_CAST({_TEXT} AS TIMESTAMP), '%Y-%m-%d %H:%M:%S.%g')
        WHEN {_FLOAT} THEN __double_text(TRY_CAST({_TEXT} AS DOUBLE))
        ELSE __error('{REFUSED}CAST from ' || typeof(x) || ' to varchar') END""",
    "CREATE MACRO __presto_from_unix(x) AS make_timestamp(CAST(round(CAST(x AS DOUBLE) * 1000) * 1000 AS BIGINT))",
    f"""CREATE MACRO __of_moment(x, u) AS CASE
        WHEN typeof(x) = 'DATE' AND lower(u) IN ('hour', 'minute', 'second', 'millisecond')
        THEN cast_to_type(__error('{FAILED}''' || u || ''' is not a valid DATE field'), x) ELSE x END""",
    f"""CREATE MACRO __presto_diff(u, a, b) AS CASE
        WHEN lower(u) IN ('millisecond', 'second', 'minute', 'hour', 'day', 'week', 'month', 'quarter', 'year')
            THEN date_sub(lower(u), CAST(__of_moment(a, u) AS TIMESTAMP), CAST(__of_moment(b, u) AS TIMESTAMP))
        ELSE CAST(__error('{FAILED}''' || u || ''' is not a valid '
            || CASE typeof(a) WHEN 'DATE' THEN 'DATE' ELSE 'Timestamp' END || ' field') AS BIGINT) END""",
    # The type of a quotient: whole numbers stay whole, decimals have the larger scale, as the sum has.
    f"""CREATE MACRO __presto_div(a, b) AS CASE
        WHEN b = 0 AND (typeof(a) IN ('FLOAT', 'DOUBLE') OR typeof(b) IN ('FLOAT', 'DOUBLE'))
            THEN cast_to_type(CAST(CASE WHEN a = 0 THEN 'nan' WHEN a > 0 THEN 'inf' ELSE '-inf' END AS DOUBLE),
                nullif(a, a) + nullif(b, b))
        WHEN b = 0 THEN cast_to_type(__error('{FAILED}Division by zero'), nullif(a, a) + nullif(b, b))
        WHEN typeof(nullif(a, a) + nullif(b, b)) IN ('TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT')
            THEN cast_to_type(CAST(a // nullif(b, 0) AS VARCHAR), nullif(a, a) + nullif(b, b))
        ELSE cast_to_type(CAST(CAST(a AS DOUBLE) / nullif(b, 0) AS VARCHAR), nullif(a, a) + nullif(b, b)) END""",
    "CREATE MACRO __presto_ceil(x) AS cast_to_type(ceil(x), round(x))",
    "CREATE MACRO __presto_floor(x) AS cast_to_type(floor(x), round(x))",
    "CREATE MACRO __presto_sign(x) AS cast_to_type(sign(x), round(x))",
    "CREATE MACRO __presto_round(x, d) AS cast_to_type(round(x, d), nullif(x, x) + nullif(x, x))",
    *(
        f"CREATE MACRO __presto_{name}(x) AS CASE WHEN x = 0 THEN CAST('-inf' AS DOUBLE) "
        f"WHEN x < 0 THEN CAST('nan' AS DOUBLE) ELSE {name}(x) END"
        for name in ("ln", "log2", "log10")
    ),
    "CREATE MACRO __presto_log(b, x) AS ln(x) / ln(b)",
    # A median has the type that Presto's average has: of decimals the same, of other numbers double.
    "CREATE MACRO __presto_avg(x) AS cast_to_type(avg(x), median(x))",
    """CREATE MACRO __presto_array_max(x) AS CASE WHEN len(list_filter(x, lambda e : e IS NULL)) = 0
        THEN list_max(x) END""",
    """CREATE MACRO __presto_array_min(x) AS CASE WHEN len(list_filter(x, lambda e : e IS NULL)) = 0
        THEN list_min(x) END""",
    f"""CREATE MACRO __presto_element_at(x, i) AS CASE WHEN typeof(x) LIKE 'MAP(%' OR i <> 0 THEN x[i]
        ELSE cast_to_type(__error('{FAILED}SQL array indices start at 1'), x[i]) END""",
    "CREATE MACRO __presto_sequence(a, b) AS generate_series(a, b, CASE WHEN a <= b THEN 1 ELSE -1 END)",
    f"""CREATE MACRO __presto_split_part(x, d, n) AS CASE
        WHEN n <= 0 THEN __error('{FAILED}Index must be greater than zero') ELSE string_split(x, d)[n] END""",
    f"""CREATE MACRO __presto_lpad(x, n, p) AS CASE
        WHEN n < 0 THEN __error('{FAILED}Target length must be in the range [0..2147483647]')
        WHEN p = '' THEN __error('{FAILED}Padding string must not be empty') ELSE __lpad(x, n, p) END""",
    f"""CREATE MACRO __presto_rpad(x, n, p) AS CASE
        WHEN n < 0 THEN __error('{FAILED}Target length must be in the range [0..2147483647]')
        WHEN p = '' THEN __error('{FAILED}Padding string must not be empty') ELSE __rpad(x, n, p) END""",
    f"""CREATE MACRO __replace_some(x, s, r) AS CASE WHEN s = '' THEN __error('{REFUSED}replace of an empty text')
        ELSE replace(x, s, r) END""",
    f"""CREATE MACRO __upper(x) AS CASE WHEN contains(x, 'ß') THEN __error('{REFUSED}upper of ß') ELSE upper(x) END""",
    f"""CREATE MACRO __presto_clock(x) AS CASE WHEN typeof(x) = 'DATE'
        THEN cast_to_type(__error('{FAILED}Cannot add hour, minutes or seconds to a date'), x) ELSE x END""",
    f"""CREATE MACRO __presto_beside(x, other) AS CASE WHEN typeof(other) IN ('VARCHAR', '"NULL"', 'BLOB') THEN x
        ELSE __error('{REFUSED}varchar cannot be compared with ' || lower(typeof(other))) END""",
    f"""CREATE MACRO __presto_join(a, b) AS CASE WHEN typeof(a) = typeof(b) OR a IS NULL OR b IS NULL THEN a || b
        ELSE cast_to_type(__error('{REFUSED}''||'' cannot be applied to ' || lower(typeof(a)) || ', '
            || lower(typeof(b))), a || b) END""",
    # Hive alone
    f"""CREATE MACRO __hive_text(x) AS CASE WHEN typeof(x) = 'BOOLEAN' THEN upper({_TEXT})
        WHEN typeof(x) LIKE 'DECIMAL%' AND contains({_TEXT}, '.') THEN regexp_replace({_TEXT}, '[.]?0+$', '')
        ELSE __text(x) END""",
    f"""CREATE MACRO __hive_bool(x) AS CASE WHEN x IS NULL THEN NULL
        WHEN typeof(x) = 'VARCHAR' THEN lower({_TEXT}) NOT IN ('', 'false', 'no', 'off', '0') ELSE __bool(x) END""",
    f"""CREATE MACRO __hive_sign(x) AS CASE WHEN typeof(x) LIKE 'DECIMAL%'
        THEN CAST(__error('{REFUSED}sign of a decimal') AS DOUBLE) ELSE __sign(x) END""",
    "CREATE MACRO __hive_sqrt(x) AS CASE WHEN x >= 0 THEN sqrt(x) END",
    "CREATE MACRO __hive_asin(x) AS CASE WHEN abs(x) <= 1 THEN asin(x) END",
    "CREATE MACRO __hive_acos(x) AS CASE WHEN abs(x) <= 1 THEN acos(x) END",
    f"""CREATE MACRO __hive_lpad(x, n, p) AS CASE WHEN n < 0 THEN __error('{REFUSED}lpad to less than nothing')
        WHEN p <> '' THEN __lpad(x, n, p) END""",
    f"""CREATE MACRO __hive_rpad(x, n, p) AS CASE WHEN n < 0 THEN __error('{REFUSED}rpad to less than nothing')
        WHEN p <> '' THEN __rpad(x, n, p) END""",
    "CREATE MACRO __hive_pmod(a, b) AS CASE WHEN b <> 0 THEN (a % nullif(b, 0) + b) % nullif(b, 0) END",
    f"""CREATE MACRO __hive_ascii(x) AS CASE WHEN unicode(x) > 127 THEN CAST(__error('{REFUSED}ascii of ' || x) AS INT)
        ELSE __ascii(x) END""",
    f"""CREATE MACRO __hive_ws(x) AS CASE WHEN typeof(x) IN ('VARCHAR', '"NULL"') THEN {_TEXT}
        ELSE __error('{REFUSED}concat_ws of ' || typeof(x)) END""",
    """CREATE MACRO __hive_add_months(x, n) AS CASE WHEN __date(x) = last_day(__date(x))
        THEN last_day(CAST(__date(x) + to_months(CAST(n AS INT)) AS DATE)) ELSE __add_months(x, n) END""",
    """CREATE MACRO __hive_part(x) AS CASE WHEN typeof(x) = 'BOOLEAN' OR typeof(x) LIKE 'DECIMAL%' THEN __hive_text(x)
        ELSE __part(x) END""",
    *_presto_casts("__presto_", strict=True),
    *_presto_casts("__presto_try_", strict=False),
)
