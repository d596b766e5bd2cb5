"""The units that may follow a number, and what they mean. A word that is not listed here is no unit.

Units are not converted: `5 km` and `5000 m` have different units. Abbreviations are case-sensitive (`m` is the meter,
`M` is not a unit); words are not, and have plurals.

Left out: adjectives before a unit (`5 red apples`), letters for scales (`$5M`), and words with more than one meaning
after a number, such as `quarters`, `times`, `more` and months.
"""

from __future__ import annotations

import re
from functools import lru_cache

_ABBREVIATIONS = """
km kilometer|KM kilometer|m meter|cm centimeter|mm millimeter|nm nanometer|mi mile|yd yard|ft foot|in inch|lb pound
lbs pound|oz ounce|kg kilogram|Kg kilogram|KG kilogram|g gram|mg milligram|l liter|L liter|ml milliliter|mL milliliter
dl deciliter|cl centiliter|s second|sec second|secs second|ms millisecond|min minute|mins minute|h hour|hr hour|hrs hour
yr year|yrs year|kWh kilowatt hour|kW kilowatt|Hz hertz|kHz kilohertz|MHz megahertz|GHz gigahertz|KB kilobyte
kB kilobyte|MB megabyte|GB gigabyte|TB terabyte|mph mile per hour|kph kilometer per hour|rpm revolution per minute
USD dollar|EUR euro|GBP pound|JPY yen|gal gallon|qt quart|pt pint|tsp teaspoon|tbsp tablespoon|ha hectare
deg degree|rad radian
"""
_IRREGULAR = """
people person|persons person|children child|kids child|kid child|men man|women woman|feet foot|inches inch|geese goose
mice mouse|teeth tooth|knives knife|leaves leaf|loaves loaf|shelves shelf|wolves wolf|calves calf|halfpence halfpenny
metre meter|metres meter|kilometre kilometer|kilometres kilometer|centimetre centimeter|centimetres centimeter
millimetre millimeter|millimetres millimeter|litre liter|litres liter|millilitre milliliter|millilitres milliliter
gramme gram|grammes gram|tonne ton|tonnes ton|pence penny|buck dollar|bucks dollar|kilo kilogram|kilos kilogram
vertices vertex|fish fish|sheep sheep
deer deer|hertz hertz|celsius celsius|fahrenheit fahrenheit|kelvin kelvin|yen yen|series series|species species
"""
_MEASURES = """
meter kilometer centimeter millimeter nanometer mile yard foot inch pound ounce kilogram gram milligram ton stone liter
milliliter deciliter centiliter gallon quart pint cup teaspoon tablespoon second millisecond minute hour day night week
weekday weekend fortnight month year decade century hectare acre degree radian revolution kilowatt watt volt ampere
joule calorie newton hertz kilohertz megahertz gigahertz bit byte kilobyte megabyte gigabyte terabyte dollar cent
euro penny dime nickel rupee yuan peso franc krona crown pixel knot lap step block
"""
_THINGS = """
apple orange banana pear peach plum cherry grape lemon lime mango melon pineapple strawberry blueberry berry watermelon
fruit vegetable carrot potato tomato onion cucumber pumpkin bean nut walnut peanut egg loaf bread muffin cake cupcake
cookie biscuit pie pizza slice sandwich burger donut bagel candy sweet chocolate lollipop cracker meal dinner lunch
breakfast dish plate bowl glass mug bottle can jar box bag basket crate carton packet pack package bundle case tray
bucket barrel tank container envelope parcel book notebook page chapter letter word sentence paragraph line story poem
magazine newspaper comic pencil pen crayon marker eraser sheet paper folder card stamp sticker postcard photo picture
painting poster ticket coin bill badge button bead marble pebble shell stone rock brick tile plank board nail screw
ribbon rope string candle lantern lamp bulb light toy doll ball balloon block puzzle piece game video movie film song
album cd dvd person man woman child boy girl baby adult student pupil teacher classmate friend guest player member
worker employee customer visitor passenger tourist soldier driver runner farmer doctor nurse patient neighbor sister
brother cousin sibling son daughter parent team group class family couple crew dog cat puppy kitten bird chicken hen
rooster duck goose turkey cow pig horse sheep goat rabbit hamster mouse fish frog turtle snake bee ant spider butterfly
insect animal pet lion tiger elephant bear monkey wolf deer fox tree flower rose tulip plant bush seed leaf branch log
acorn shirt dress skirt sock shoe boot hat cap coat jacket sweater scarf glove pair suit uniform car truck bus van bike
bicycle motorcycle train boat ship plane vehicle wheel tire seat row column chair table desk bed sofa shelf door window
room house home building floor apartment store shop school city town village country street road bridge field garden
farm point goal vote win loss match race round turn trip flight visit session lesson exercise question problem test
exam quiz assignment project task job shift call message email text post token item object unit thing part section
number digit solution factor divisor multiple prime integer root vertex edge side face angle triangle circle rectangle
cube diagonal arrangement way combination permutation outcome possibility choice pattern set subset element term tooth
finger toe hand head leg arm knife fork spoon cup phone computer laptop tablet machine camera pot pan gift present
prize medal trophy ring necklace bracelet diamond pearl gem kite drum guitar piano violin water milk juice coffee tea
soda lemonade soup oil gas rice flour sugar salt butter cheese meat sand soil wood money food serving portion helping
clip crab oyster gumball worm caterpillar seashell doughnut brownie pancake waffle sausage noodle burrito taco popcorn
chip dumpling roll bun croissant gum stair jump pushup squat swing kick touchdown inning voter resident citizen
attendee participant volunteer scout pirate knight sailor astronaut baker chef artist musician dancer actor singer
writer author editor engineer scientist manager clerk cashier waiter bouquet wreath ornament costume mask pallet bin
drawer cabinet bookcase bookshelf cage pond pool lake river island mountain planet star moon rocket coupon voucher
stock tip fee clown vase towel blanket pillow curtain carpet rug mirror clock watch umbrella wallet purse backpack
suitcase helmet bat racket puck skate ski surfboard tent kayak canoe scooter skateboard tractor trailer wagon taxi
helicopter airplane garage barn fence gate pole brush pipe wire cable battery hinge hook saw hammer shovel ladder
stapler ruler textbook dictionary invitation flyer brochure pamphlet receipt invoice file document application contract
report essay article review comment follower subscriber download byte click
"""
_SIGNS = {"$": "dollar", "€": "euro", "£": "pound", "¥": "yen", "¢": "cent", "°": "degree"}
CURRENCIES = {sign: _SIGNS[sign] for sign in "$€£¥"}
"""The meaning of a currency sign before a number."""


def _table(text: str) -> dict[str, str]:
    return dict(pair.split(" ", 1) for line in text.strip().splitlines() for pair in line.split("|"))


_SHORT, _WORDS = _table(_ABBREVIATIONS), _table(_IRREGULAR)
_NOUNS = frozenset(f"{_MEASURES} {_THINGS}".split()) | frozenset(_WORDS.values())
_NO_LEFT = frozenset(["meter", "kilometer", "mile", "yard", "foot", "inch", "step", "block", "degree", "knot"])
_FILLERS = re.compile(r"\b(?:in total|in all|total|altogether|overall|remaining|each|old)\b", re.IGNORECASE)
_TOKEN = re.compile(r"[A-Za-z]+\.?|/|\^ ?\{?[23]\}?|[$€£¥¢°]|\s+|(?<=[A-Za-z])-(?=[A-Za-z])")
_POWERS = {"squared": "^2", "cubed": "^3"}
_BEFORE = {"square": "^2", "sq": "^2", "cubic": "^3", "cu": "^3"}
_MOST_TOKENS = 12


@lru_cache(maxsize=4096)
def read_unit(text: str) -> str | None:
    """The canonical form of a unit: `km/h` is `kilometer per hour`; "" for no unit, None for anything else."""
    text = re.sub(r"\b[Dd]eg(?:rees?)?\.? ?(?:C\b|[Cc]elsius\b)", "celsius", text.replace("°", " degrees "))
    text = re.sub(r"\b[Dd]eg(?:rees?)?\.? ?(?:F\b|[Ff]ahrenheit\b)", "fahrenheit", text)
    text = _FILLERS.sub(" ", re.sub(r"\bUS (?=dollars?\b|\$)", "", text)).strip(" .,")
    tokens, at = list[str](), 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or len(tokens) > _MOST_TOKENS:
            return None
        at = found.end()
        if found[0].strip(" -\t\r\n"):
            tokens.append(found[0].rstrip("."))
    units, power = list[str](), ""
    for i, token in enumerate(tokens):
        word = token.lower()
        after_unit = bool(units) and units[-1] not in ("per", "of") and not power
        if after_unit and (word in _POWERS or token[0] == "^"):
            if "^" in units[-1]:
                return None
            units[-1] += _POWERS.get(word) or f"^{re.sub('[^23]', '', token)}"
        elif word in _BEFORE and not power and i + 1 < len(tokens) and _unit(tokens[i + 1]):
            power = _BEFORE[word]
        elif word in ("per", "/", "a", "an", "of") and (after_unit or (word != "of" and not units)):
            units.append("of" if word == "of" else "per")
        elif word == "left" and after_unit and not _NO_LEFT & set(units):
            continue
        elif (unit := _unit(token)) is not None:
            units.append(unit + power)
            power = ""
        else:
            return None
    return None if power or (units and units[-1] in ("per", "of")) else " ".join(units)


def _unit(token: str) -> str | None:
    """The meaning of one word or sign; None if it is no unit."""
    if token in _SIGNS or token in _SHORT:
        return _SIGNS.get(token) or _SHORT[token]
    word = token.lower()
    forms = (word, word.removesuffix("s"), word.removesuffix("es"), re.sub("ies$", "y", word))
    return _WORDS.get(word) or next((form for form in forms if len(form) > 2 and form in _NOUNS), None)
