"""Which characters a text in a language holds, and how often, for each encoding it may be in.

Only characters outside ASCII count: what is in ASCII is the same in all of these encodings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from math import log
from typing import Final

Tier = tuple[str, float]
"""Characters, and which share of a text they are together; all of a tier are alike."""

NEVER: Final = 16.0
"""What a character costs that the language does not have."""


@dataclass(frozen=True, slots=True)
class Language:
    """`codecs` begin with the likeliest; each further one costs a little. `doubt` is what the
    language costs before a character was seen: what most people write costs least. All costs are
    in nats."""

    codecs: tuple[str, ...]
    tiers: tuple[Tier, ...]
    doubt: float = 3.0
    is_latin: bool = False

    @property
    def common(self) -> str:
        return "".join(characters for characters, share in self.tiers if share > 0.1)

    def cost_of_codec(self, codec: str) -> float:
        return self.doubt + 3 * self.codecs.index(codec)


def _rows(codec: str, first: int, last: int, trails: tuple[range, ...]) -> str:
    """All characters of two bytes whose first byte is in this range."""
    pairs = (bytes((lead, trail)) for lead in range(first, last + 1) for t in trails for trail in t)
    return "".join(pair.decode(codec, "ignore") for pair in pairs)


_EUC: Final = (range(0xA1, 0xFF),)
_GBK: Final = (range(0x40, 0xFF),)
_BIG5: Final = (range(0x40, 0x7F), range(0xA1, 0xFF))

# fmt: off
_SIMPLIFIED: Final = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方"
    "多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情"
    "明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给"
    "世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结反受目太"
    "量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象"
    "完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运请谢测试档章节例户输码错误帮助"
    "网络脚版编写调参返功息查询服器改读存线组字符串选项配置态显示谁吃喝买卖钱元早晚午星昨杯爱哥姐妈爸朋友您吗呢吧啊哪谈讨速姓"
    "李刘陈"
)
_TRADITIONAL: Final = (
    "這個們來為國說時會對著過發後裡種經麼學現當沒動還進樣開從實軍無與長機業將兩間問戰應頭體見產話給門兒東聲員論處義幾認條氣題"
    "爾別變總電數報結務場計資許統區隊決馬書則聽達強難權設記類據邊張該規萬覺術領確傳師觀讓識帶導爭運請謝測試檔節戶輸碼錯誤幫網"
    "絡腳編寫調參詢讀線組選項態顯買賣錢愛媽嗎談討劉陳於點並關係麗華輕輛轉辦農遠適鄉醫針錄錶鐘鐵閱陽陸隨雖離雲靜響頁順須頓預頻"
    "額願風飛飯館駐驗魚鳥麥黃齊齡龍臺灣億傷優價單嚴園圍團圖壓夠夢婦寶審層島幣廣廠歲彈復徵慮憶懷戲擁擇擊擔擴攝敗敵斷暫曉暢曆樂"
    "標樹橋檢歡歷殺淚淨溫準滅滿漢漲潔濟濤災烏熱營牆獎獨獲環畢畫異療盡監盤眾碩礎禮禍稅穩窮競筆築簡簽糧紀約紅純紙級"
)
_PUNCTUATION: Final = "，。、；：？！“”‘’《》（）…—【】·「」『』％～　"
_KANJI: Final = (
    "日一国会人年大十二本中長出三同時政事自行社見月分議後前民生連五発間対上部東者党地合市業内相方四定今回新場金員九入選立開手"
    "米力学問高代明実円関決子動京全目表戦経通外最言氏現理調体化田当八六約主題下首意法不来作性的要用制治度務強気小七成期公野協"
    "取都和統以機平総加山思家話世受区領多県続進正安設保改数記院女初北午指権心界支第産結百派点教報済書府活原先共得解名交資予川"
    "向際査勝面委告軍文反元重近千考判認画海参売利組知案道信策集在件団別物側任引使求所次水半品昨論計死官増係感特情投示変打男基"
    "私各始島直両朝価式確村提運終挙果西台広容必応電住争談能無再位置企真流格有口過局少放税検藤町常校料状工建語球空職証土与急止"
    "送可役構木割聞身費付施切由説転食比難防車優夫研収断井何南石足違消神番規術態導備害配副算視条独警宮究育席訪楽起万着乗店述残"
    "想線率病農声質念待試族銀域助例然早張限親額環験追商義伝働形景落好退準辺造英被頭技低毎医仕去味差個門写課末若雨降猫郎阪太齢"
    "齋様誠致申失礼願貴"
)
_HIRAGANA: Final = (
    "のにはをたがでてとしれさいるなもからりこそうくあまきすめよけつえだわどんせちおみへやじず"
    "べろぶむばぐごげっょゃゅ"
)
_KATAKANA: Final = (
    "ーンスルトリアイラクレッシドフロタジマグテムカプサニデコィバメュャキブオエウセチナパダツ"
    "ァミモネハェノヨソワベビヤォガホポ"
)
_HANGUL: Final = (
    "이다는을의에가고하은지로한를기사어도자시인서나리아만있라대수부정일그스전해보들여제장주조원비상으공구우소경유마것면성국과"
    "동와게선치신무안모연생중요오였적니문미분학화없했방음세개던관때거내물위회금년바속저된실데않말러르행간식당계진명까발두재터"
    "래단영설심양습통임산외작포반점현체려품후입표업건교력감강집결할네더번째남예복용별본역민형타태추차초불직노크트람운등론질목"
    "열증배찬락량변천청축김박최철울뵙녕파홉께달립랍십옵합됩날름씨책권읽쓰먹갑큰글길갈릴릅준줄받찾봐왔갔"
)
# fmt: on

_KANA: Final = (_HIRAGANA, 0.55), (_KATAKANA, 0.12)
_CHINESE_REST: Final[tuple[Tier, ...]] = (
    (_rows("gb2312", 0xA1, 0xA3, _EUC), 0.01),
    (_HIRAGANA + _KATAKANA, 0.0005),
)


def _western(letters: str) -> Language:
    return Language(
        ("cp1252", "cp850", "mac_roman"),
        (
            (letters, 0.75),
            ("\xa0", 0.1),
            ("‘’“”–—…«»¿¡°€£§·", 0.1),
            ("ÉÀÇÄÖÜÅØÓÁÊÈ", 0.03),
            ("éèàçêäöüßóíáñúãâîôûëåøæœïùòìõÿ", 0.01),
            ("ÆŒÑÍÚÃÂÎÔÛËÌÒÙÕðþÐÞýÝ", 0.003),
            ("ªº²³½¼¾×÷±µ©®™¢¥¶†‡•", 0.003),
        ),
        doubt=2,
        is_latin=True,
    )


def _central(letters: str) -> Language:
    return Language(
        ("cp1250", "iso8859_2", "cp852"),
        (
            (letters, 0.9),
            (letters.upper(), 0.03),
            ("„”–—…“’»«§€\xa0°", 0.05),
            ("ąćęłńóśźżáčďéěíňřšťúůýžöőüűäôĺľŕĽâăîşţđ", 0.01),
        ),
        doubt=4,
        is_latin=True,
    )


def _russian(case: Callable[[str], str]) -> Language:
    return Language(
        ("cp1251", "koi8_r", "cp866", "iso8859_5", "mac_cyrillic"),
        (
            (case("оеаинт"), 0.5),
            (case("срвлкмдпу"), 0.33),
            (case("яыьгзбчй"), 0.11),
            (case("хжшюцщэфъё"), 0.04),
            ("АБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЭЮЯ", 0.015),
            ("«»–—…“”№„\xa0", 0.005),
        ),
        doubt=2 if case is str.lower else 5,
    )


def _baltic(letters: str) -> Language:
    return Language(
        ("cp1257",),
        ((letters, 0.92), (letters.upper(), 0.03), ("„”–—…“’»«€", 0.05)),
        doubt=5,
        is_latin=True,
    )


@cache
def costs(language: Language) -> Mapping[str, float]:
    """What each of its characters costs."""
    found: dict[str, float] = {}
    for characters, share in reversed(language.tiers):
        found.update(dict.fromkeys(characters, log(len(characters) / share)))
    return found


LANGUAGES: Final = (
    Language(  # Simplified Chinese
        ("gb18030",),
        (
            (_PUNCTUATION, 0.12),
            (_SIMPLIFIED, 0.68),
            (_rows("gb2312", 0xB0, 0xD7, _EUC), 0.17),
            (_rows("gb2312", 0xD8, 0xF7, _EUC), 0.01),
            (_TRADITIONAL, 0.004),
            *_CHINESE_REST,
            (_rows("gbk", 0x81, 0xFE, _GBK), 0.004),
        ),
        doubt=0,
    ),
    Language(  # Traditional Chinese
        ("cp950", "big5hkscs"),
        (
            (_PUNCTUATION, 0.12),
            (_TRADITIONAL, 0.33),
            ("".join(c for c in _SIMPLIFIED if c.encode("big5", "ignore")), 0.35),
            (_rows("big5", 0xA4, 0xC6, _BIG5), 0.17),
            (_rows("big5", 0xC9, 0xF9, _BIG5), 0.01),
            (_rows("big5", 0xA1, 0xA3, _BIG5), 0.01),
        ),
        doubt=2,
    ),
    Language(  # Japanese
        ("cp932", "euc_jp"),
        (
            ("、。「」・（）！？　～：々", 0.07),
            *_KANA,
            (_KANJI, 0.2),
            (_rows("euc_jp", 0xB0, 0xCF, _EUC), 0.05),
            (_rows("euc_jp", 0xA1, 0xA8, _EUC), 0.01),
            (_rows("euc_jp", 0xD0, 0xF4, _EUC), 0.002),
            ("".join(map(chr, range(0xFF61, 0xFFA0))), 0.001),
        ),
        doubt=2,
    ),
    Language(  # Korean
        ("cp949",),
        (
            (_HANGUL, 0.85),
            (_rows("euc_kr", 0xB0, 0xC8, _EUC), 0.12),
            (_PUNCTUATION, 0.01),
            (_rows("euc_kr", 0xA1, 0xAC, _EUC), 0.01),
            (_rows("euc_kr", 0xCA, 0xFD, _EUC), 0.003),
        ),
        doubt=2,
    ),
    *map(
        _western,
        ("éèàçêùâîôûëïœ", "äöüß", "óíáéñú¿¡", "ãçáéíóõêâúà", "àèéìòù", "åäöøæéÅØ", "’“”‘–—…"),
    ),
    *map(_western, ("ÉÈÀÇÊÙÂÎÔ", "ÄÖÜ", "ÓÍÁÉÑÃÇ")),
    *map(_central, ("ąćęłńóśźż", "áčďéěíňřšťúůýž", "áéíóöőúüű", "čšžćđ", "ăâîşţ")),
    *map(_baltic, ("ąčęėįšųūž", "āčēģīķļņšūž")),
    Language(  # Turkish
        ("cp1254",),
        (
            ("ışğüçöİâîû", 0.94),
            ("ŞÇÖÜĞ", 0.03),
            ("“”’‘…–—", 0.03),
        ),
        doubt=4,
        is_latin=True,
    ),
    *map(_russian, (str.lower, str.upper)),
    Language(  # Ukrainian
        ("cp1251", "koi8_u"),
        (
            ("оаинвіетрс", 0.66),
            ("кмдпуяльгзбчйхжшюцщїєґф", 0.29),
            ("АБВГДЕЖЗІКЛМНОПРСТУФХЦЧШЩЄЮЯЇ", 0.03),
            ("«»–—…“”№„\xa0", 0.01),
        ),
        doubt=4,
    ),
    Language(  # Greek
        ("cp1253", "iso8859_7"),
        (
            ("αεηιοτσςνρκπυ", 0.65),
            ("λμδγθφχβωξψζάέήίόύώϊϋ", 0.3),
            ("ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩΆΈΌ", 0.04),
            ("«»–—…·’\xa0", 0.01),
        ),
        doubt=6,
    ),
    Language(  # Hebrew
        ("cp1255", "iso8859_8"),
        (("יוהלאתמרבש", 0.68), ("נדפקחטעכגםסזןצץךף", 0.29), ("–—״׳“”", 0.02)),
        doubt=5,
    ),
    Language(  # Arabic
        ("cp1256", "iso8859_6"),
        (("ابتثجحخدذرزسشصضطظعغفقكلمنهويىةأإآءئؤ", 0.97), ("،؛؟“”ًٌٍَُِّْ", 0.02)),
        doubt=5,
    ),
    Language(  # Thai
        ("cp874",),
        (
            ("านรอกเงมยลวดทสตปบคหขจชพผถ", 0.6),
            ("ะัิีึืุูแโใไำ่้็์", 0.36),
            ("ฆฉซฌญฎฏฐฑฒณธฝฟภศษฬฮฤๆ๊๋ฯ", 0.03),
        ),
        doubt=6,
    ),
)
