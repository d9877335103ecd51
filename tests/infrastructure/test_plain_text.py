import pytest

from infrastructure.documents.plain_text import plain_text
from infrastructure.documents.refused import Refused
from tests.sentences import SENTENCES

MANY = 1_000_000
CASES = [
    pytest.param(codec, sentence, id=f"{codec}-{number}")
    for codecs, sentences in SENTENCES.items()
    for codec in codecs
    for number, sentence in enumerate(sentences)
]


@pytest.mark.parametrize(("codec", "sentence"), CASES)
def test_a_sentence_is_read_in_whatever_encoding_it_is(codec: str, sentence: str) -> None:
    assert plain_text(sentence.encode(codec), MANY) == sentence


@pytest.mark.parametrize(("codec", "sentence"), CASES)
def test_so_is_a_file_of_many_of_them(codec: str, sentence: str) -> None:
    text = f"{sentence}\n" * 100
    assert plain_text(text.encode(codec), MANY) == text


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        ("gbk", "测试"),
        ("gbk", "北京"),
        ("gbk", '# 说明\nprint("你好")\n'),
        ("gbk", "价格：￥100"),
        ("gb18030", "你好\U00020000"),
        ("big5", "臺灣大學"),
        ("big5", "台北"),
        ("big5hkscs", "香港嘅天氣好好"),
        ("cp932", "テスト"),
        ("euc_jp", "東京都"),
        ("euc_kr", "파일"),
        ("cp1251", "Москва"),
        ("cp1251", "ОТЧЁТ ЗА ГОД"),
        ("koi8_r", "Привет"),
        ("cp1252", "café"),
        ("cp1252", "für"),
        ("cp1252", "FRANÇAIS À ÉCRIRE"),
        ("cp1252", "20 °C, § 12"),
    ],
)
def test_so_are_a_few_characters(codec: str, text: str) -> None:
    assert plain_text(text.encode(codec), MANY) == text


def test_what_no_language_here_explains_others_are_asked_about() -> None:
    text = "안녕하세요 세계 이것은 시험"
    assert plain_text(text.encode("johab"), MANY) == text


def test_one_line_behind_megabytes_of_ascii_tells_the_encoding() -> None:
    text = "x = 1\n" * 700_000 + "// 初始化数据库连接\n"
    assert plain_text(text.encode("gbk"), len(text)) == text


def test_a_few_bad_bytes_do_not_change_the_encoding() -> None:
    text = "会议记录：张三、李四参加了讨论。\n" * 50
    assert plain_text(text.encode() + b"\xff", MANY) == text + "\ufffd"
    assert plain_text(text.encode("gbk") + b"\xff", MANY) == text + "\ufffd"
    assert plain_text(text.encode("utf-16") + b"\xff", MANY) == text + "\ufffd"


def test_every_end_of_a_line_becomes_the_same() -> None:
    assert plain_text(b"a\r\nb\rc\n\r\nd", MANY) == "a\nb\nc\n\nd"
    assert plain_text("你\r\n好\r\n".encode("utf-16"), MANY) == "你\n好\n"


def test_no_bytes_are_no_characters() -> None:
    assert plain_text(b"", MANY) == ""
    assert plain_text(b"\xef\xbb\xbf", MANY) == ""


@pytest.mark.parametrize(
    "content",
    [
        bytes(range(256)) * 40,
        bytes(4_000),
        b"\x01\x02\x03\x04" * 100,
        bytes((37 * at * at + 11 * at // 7) % 224 + 32 for at in range(10_000)),
        b"\xff\xfe" + b"\x00\xd8" * 500,
        b"\xef\xbb\xbf" + b"\xff" * 500,
    ],
    ids=["all-bytes", "zeros", "controls", "noise", "surrogates", "marked"],
)
def test_what_is_no_text_is_refused(content: bytes) -> None:
    with pytest.raises(Refused) as refused:
        plain_text(content, MANY)
    assert refused.value.word == "encoding"
