"""What is in which room, what fits where, and what can be done to it: the facts that games are generated from.

Kinds of things, what they fit into and what can be done to them are those of the public ALFRED tables, so that a player
of one plays the other. How often there is what in a room, and everything about places, is our own.
"""

from __future__ import annotations

from typing import NamedTuple


def _table(text: str) -> dict[str, tuple[str, ...]]:
    """Lines `Name: word word`."""
    pairs = (line.split(":") for line in text.strip().splitlines())
    return {name.strip(): tuple(words.split()) for name, words in pairs}


HOLDS = _table(
    """
ArmChair: Book Box CellPhone Cloth CreditCard KeyChain Laptop Newspaper Pillow RemoteControl
BathtubBasin: Cloth DishSponge HandTowel SoapBar
Bed: BaseballBat BasketBall Book CellPhone Laptop Pillow TennisRacket
Cabinet: Book Bowl Box Candle CD Cloth Cup DishSponge Glassbottle HandTowel Kettle Ladle Mug Newspaper Pan PepperShaker\
 Plate Plunger Pot SaltShaker SoapBar SoapBottle SprayBottle TissueBox ToiletPaper Vase WateringCan WineBottle
Cart: Candle Cloth DishSponge HandTowel Plunger SoapBar SoapBottle SprayBottle TissueBox ToiletPaper
CoffeeMachine: Mug
CoffeeTable: Book Bowl Box Candle CellPhone CreditCard KeyChain Laptop Newspaper Pen Pencil Plate RemoteControl Statue\
 TissueBox Vase Watch WateringCan
CounterTop: AlarmClock Apple Book Bowl Bread ButterKnife Candle CD CellPhone Cloth CreditCard Cup DishSponge Egg Fork\
 Glassbottle HandTowel Kettle KeyChain Knife Ladle Laptop Lettuce Mug Pan Pen Pencil PepperShaker Plate Pot Potato\
 RemoteControl SaltShaker SoapBar SoapBottle Spatula Spoon SprayBottle Statue TissueBox ToiletPaper Tomato Vase\
 WineBottle
Desk: AlarmClock BasketBall Book Bowl Box CD CellPhone Cloth CreditCard KeyChain Laptop Mug Pen Pencil RemoteControl\
 Statue TennisRacket TissueBox Vase Watch WateringCan
DiningTable: AlarmClock Apple BaseballBat Book Bowl Box Bread ButterKnife Candle CD CellPhone CreditCard Cup DishSponge\
 Egg Fork Glassbottle Kettle KeyChain Knife Ladle Laptop Lettuce Mug Newspaper Pan Pen Pencil PepperShaker Plate Pot\
 Potato RemoteControl SaltShaker SoapBottle Spatula Spoon SprayBottle Statue TissueBox Tomato Vase Watch WateringCan\
 WineBottle
Drawer: Book ButterKnife Candle CD CellPhone Cloth CreditCard DishSponge Fork HandTowel KeyChain Knife Ladle Newspaper\
 Pen Pencil PepperShaker RemoteControl SaltShaker SoapBar SoapBottle Spatula Spoon SprayBottle TissueBox ToiletPaper\
 Watch WateringCan
Dresser: AlarmClock BasketBall Book Bowl Box Candle CD CellPhone Cloth CreditCard KeyChain Laptop Mug Newspaper Pen\
 Pencil Plate RemoteControl SprayBottle Statue TennisRacket TissueBox ToiletPaper Vase Watch WateringCan
Fridge: Apple Bowl Bread Cup Egg Glassbottle Lettuce Mug Pan Plate Pot Potato Tomato WineBottle
GarbageCan: Apple Bread CD Cloth DishSponge Egg HandTowel Lettuce Newspaper Pen Pencil Potato SoapBar SoapBottle\
 SprayBottle TissueBox ToiletPaper Tomato WineBottle
HandTowelHolder: HandTowel
LaundryHamper: Cloth
Microwave: Apple Bowl Bread Cup Egg Glassbottle Mug Plate Potato Tomato
Ottoman: Book Box CellPhone CreditCard KeyChain Laptop Newspaper Pillow RemoteControl
Safe: CD CellPhone CreditCard KeyChain Statue Vase
Shelf: AlarmClock Book Bowl Box Candle CD CellPhone Cloth CreditCard Cup DishSponge Glassbottle HandTowel Kettle\
 KeyChain Mug Newspaper Pen Pencil PepperShaker Plate Pot RemoteControl SaltShaker SoapBar SoapBottle SprayBottle\
 Statue TissueBox ToiletPaper Vase Watch WateringCan WineBottle
SideTable: AlarmClock Apple BaseballBat BasketBall Book Bowl Box Bread ButterKnife Candle CD CellPhone Cloth CreditCard\
 Cup DishSponge Egg Fork HandTowel Kettle KeyChain Knife Laptop Lettuce Mug Newspaper Pan Pen Pencil PepperShaker\
 Plate Pot Potato RemoteControl SaltShaker SoapBar SoapBottle Spatula Spoon SprayBottle Statue TennisRacket TissueBox\
 ToiletPaper Tomato Vase Watch WateringCan WineBottle
SinkBasin: Apple Bowl ButterKnife Cloth Cup DishSponge Egg Fork Glassbottle HandTowel Kettle Knife Ladle Lettuce Mug\
 Pan Plate Pot Potato SoapBar Spatula Spoon Tomato
Sofa: Book Box CellPhone CreditCard KeyChain Laptop Newspaper Pillow RemoteControl
StoveBurner: Kettle Pan Pot
Toaster:
Toilet: Candle Cloth DishSponge HandTowel SoapBar SoapBottle SprayBottle TissueBox ToiletPaper
ToiletPaperHanger: ToiletPaper
TowelHolder: Towel
TVStand: TissueBox
"""
)
"""What fits into or onto each kind of receptacle."""
OPENABLE = frozenset(("Cabinet", "Drawer", "Fridge", "Microwave", "Safe"))
ABLE = _table(
    """
cleanable: Apple Bowl ButterKnife Cloth Cup DishSponge Egg Fork Kettle Knife Ladle Lettuce Mug Pan Plate Pot Potato\
 SoapBar Spatula Spoon Tomato
heatable: Apple Bread Cup Egg Mug Plate Potato Tomato
coolable: Apple Bowl Bread Cup Egg Lettuce Mug Pan Plate Pot Potato Tomato WineBottle
sliceable: Apple Bread Egg Lettuce Potato Tomato
isReceptacleObject: Bowl Box Cup Mug Pan Plate Pot
"""
)
"""What can be done to which objects."""
LAMPS = _table("""
DeskLamp: Desk SideTable Dresser Shelf
FloorLamp: SideTable Dresser Desk CoffeeTable
""")
"""Lamps and what they stand on. They are lit, never carried."""


class Room(NamedTuple):
    """A kind of room."""

    receptacles: dict[str, tuple[int, int]]
    """Kind, fewest and most."""
    objects: tuple[str, ...]


def _room(receptacles: str, objects: str) -> Room:
    parts = (word.split("=") for word in receptacles.split())
    counts = {name: tuple(int(n) for n in count.split("-")) for name, count in parts}
    return Room({name: (few, most) for name, (few, most) in counts.items()}, tuple(objects.split()))


ROOMS = {
    "kitchen": _room(
        "CounterTop=1-3 Cabinet=3-16 Drawer=2-12 Fridge=1-1 Microwave=1-1 SinkBasin=1-1 StoveBurner=2-4 "
        "CoffeeMachine=1-1 Toaster=1-1 GarbageCan=1-1 DiningTable=0-2 SideTable=0-1 Shelf=0-3",
        "Apple Bowl Bread ButterKnife Cup DishSponge Egg Fork Glassbottle Kettle Knife Ladle Lettuce Mug Pan "
        "PepperShaker Plate Pot Potato SaltShaker SoapBottle Spatula Spoon Tomato Vase WineBottle",
    ),
    "livingroom": _room(
        "Sofa=1-2 ArmChair=1-2 CoffeeTable=1-2 SideTable=1-3 Drawer=0-10 Shelf=0-6 Dresser=0-1 TVStand=0-1 "
        "DiningTable=0-1 Ottoman=0-1 Cabinet=0-6 Safe=0-1 GarbageCan=1-1 Desk=0-1",
        "Book Box CellPhone CreditCard KeyChain Laptop Newspaper Pillow Plate RemoteControl Statue TissueBox Vase "
        "Watch WateringCan Candle Bowl Pen",
    ),
    "bedroom": _room(
        "Bed=1-2 Desk=0-2 SideTable=1-2 Drawer=2-10 Dresser=0-1 Shelf=0-8 GarbageCan=1-1 ArmChair=0-1 Safe=0-1 "
        "LaundryHamper=0-1 Cabinet=0-3",
        "AlarmClock BaseballBat BasketBall Book Bowl Box CD CellPhone Cloth CreditCard KeyChain Laptop Mug Pen Pencil "
        "Pillow RemoteControl TennisRacket Vase Statue",
    ),
    "bathroom": _room(
        "SinkBasin=1-2 CounterTop=1-2 Toilet=1-1 BathtubBasin=0-1 Cabinet=1-7 Drawer=0-6 GarbageCan=1-1 "
        "HandTowelHolder=1-3 TowelHolder=1-2 ToiletPaperHanger=1-1 Shelf=0-3 Cart=0-1 SideTable=0-1",
        "Candle Cloth DishSponge HandTowel Plunger SoapBar SoapBottle SprayBottle TissueBox ToiletPaper Towel",
    ),
}
"""Rooms. Every object of a room fits into at least two of its kinds of receptacle, towels apart."""
PICKED = tuple(sorted({name for room in ROOMS.values() for name in room.objects}))
"""Objects that can be taken."""
