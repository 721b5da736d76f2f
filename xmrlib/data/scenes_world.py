"""The world of `scenes`: what there is, how it is called, where it stands, and the places behind it.

Nothing here draws or speaks. A row of the table below reads

    noun  drawings  size  stands  also

`drawings` are OpenMoji short names; one with a `~` is never seen in training (only in test scenes marked novel).
`size` is the natural size, 100 for a house. `stands`: g on the ground, t at the back of it (tall), a in the air,
w in water, s on the shore (in water or on the ground). `also` lists further themes that the thing belongs to.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache

from xmrlib.data.scenes_shapes import SHAPES

THEMES = ("farm", "sea", "forest", "kitchen", "street", "sport", "music", "office", "sky", "party")

_TABLE = """
farm
  cow cow2 80 g - | pig pig2 65 g - | sheep sheep,~ram 65 g - | goat goat 65 g forest | rooster rooster 50 g -
  horse racehorse 85 g sport | donkey donkey 80 g - | goose goose 50 g sea | turkey turkey 50 g -
  duck duck 45 g sea,forest | tractor tractor 95 g street | sunflower sunflower 60 g office | corn corn 45 g kitchen
  hut hut 105 t sea,forest | bucket bucket 40 g kitchen,sea | ox ox 80 g - | llama llama 75 g -
  chick hatched_chick 35 g - | ladder ladder 75 g office,street | basket basket 45 g kitchen
  apple apple,~green_apple 40 g kitchen,forest | dog dog2,~poodle 60 g street,party
  cat cat2,~black_cat 50 g street,kitchen
sea
  sailboat boat 90 w sport | ship passenger_ship,~ferry 105 w - | whale whale2,whale 95 w - | dolphin dolphin 70 w -
  octopus octopus 60 s - | shark shark 80 w - | crab crab 50 s - | turtle turtle 60 s - | island desert_island 110 w -
  anchor anchor 55 s street | shell shell 40 s - | lobster lobster 50 s kitchen | jellyfish jellyfish 50 w -
  coral coral 60 s - | seal seal 70 s - | lifebuoy ring_buoy 50 s sport
  fish tropical_fish,fish,~blowfish 50 s kitchen | shrimp shrimp 45 s kitchen | penguin penguin 55 s -
  canoe canoe 80 w sport | parasol umbrella_on_ground 80 g party | palm palm_tree 100 t farm,street
  flamingo flamingo 60 s - | speedboat speedboat 90 w -
forest
  pine evergreen_tree 110 t - | oak deciduous_tree 110 t farm,street | mushroom mushroom,~brown_mushroom 40 g kitchen
  deer deer 80 g - | owl owl 50 a - | hedgehog hedgehog 45 g farm | squirrel chipmunk 45 g street
  beaver beaver 55 g sea | badger badger 55 g - | raccoon raccoon 55 g street | snail snail 40 g farm
  butterfly butterfly 45 a farm,sky | log wood 55 g farm | rock rock 50 g sea | tent tent 90 g sport,party
  fern herb 45 g office | skunk skunk 50 g - | ladybird ladybug 35 g farm | beetle beetle 35 g -
  nest nest_with_eggs,~empty_nest 45 g farm | rabbit rabbit2 45 g farm | axe axe 55 g farm | caterpillar bug 40 g farm
  bird bird,~black_bird 45 g farm,street,sky
kitchen
  teapot teapot 65 g office | pan fried_egg 65 g - | bread bread,~baguette_bread 55 g -
  cheese cheese_wedge 55 g party | egg egg 40 g farm | carrot carrot 55 g farm | tomato tomato 45 g farm
  onion onion 45 g - | garlic garlic 40 g - | spoon spoon 55 g - | cup coffee 50 g office,party | jar jar 60 g -
  butter butter 50 g - | pie pie 60 g party | broccoli broccoli 50 g - | pancakes pancakes 60 g party
  lemon lemon 40 g - | banana banana 50 g sport,office | pepper bell_pepper,~hot_pepper 45 g -
  pineapple pineapple 60 g sea,party | bowl bowl_with_spoon,~green_salad 50 g -
  croissant croissant 45 g street,office | potato potato 45 g farm
street
  bus bus,oncoming_bus,~trolleybus 100 g - | car car,blue_car,~oncoming_automobile 85 g -
  taxi taxi,~oncoming_taxi 80 g - | ambulance ambulance 90 g sport | bicycle bike 75 g sport,farm
  scooter scooter,~motor_scooter 70 g - | stoplight vertical_traffic_light 70 g -
  house house,~house_with_garden 105 t farm | bank bank 110 t - | church church 110 t farm,music
  truck articulated_lorry,~truck 100 g farm | fountain fountain 85 g party | mailbox mailbox 65 g office,farm
  motorbike racing_motorcycle 80 g sport | tram tram 95 g - | school school 110 t - | van minibus 90 g music
  barrier construction 65 g - | trolley shopping_trolley 65 g kitchen | suitcase luggage 60 g office
  extinguisher fire_extinguisher 50 g kitchen,office | bag handbag,~shopping_bags 50 g party,office
sport
  basketball basketball 50 g street | football soccer 50 g street | baseball baseball 40 g -
  volleyball volleyball 50 g sea | skis ski 75 g - | skateboard skateboard 60 g street | glove boxing_glove 55 g -
  trophy trophy 65 g office,music | medal sports_medal,~first_place_medal 50 g - | goal goal_net 100 t -
  skittles bowling 60 g party | skate ice_skate,~roller_skate 55 g - | target dart 70 g party
  frisbee flying_disc 50 a sea | sled sled 70 g - | paddle table_tennis_paddle_and_ball 55 g -
  racket badminton_racquet_and_shuttlecock 60 g - | vest running_shirt_with_sash 60 g -
  trainer athletic_shoe 50 g street | stopwatch stopwatch 50 g office | cap billed_cap 50 g street,party
  snorkel diving_mask 55 g sea | boomerang boomerang 45 a -
music
  guitar guitar 80 g party | violin violin 75 g - | trumpet trumpet 65 g - | saxophone saxophone 75 g -
  piano musical_keyboard 80 g party | drum drum_with_drumsticks 70 g - | banjo banjo 75 g farm
  accordion accordion 70 g party | flute flute 60 g forest | maracas maracas 55 g party
  microphone microphone,~studio_microphone 55 g office,party | headphones headphones 55 g office
  radio radio 65 g kitchen,office | bell bell 45 g farm | conga long_drum 70 g - | horn postal_horn 55 g street
  disc cd,~dvd 50 g office | megaphone mega 60 g sport,street | television tv 75 g kitchen,office
  hat tophat 50 g party
office
  laptop computer 75 g music | monitor desktop_computer 80 g - | printer printer 75 g -
  chair chair 85 g kitchen,music | scissors scissors 50 g kitchen | pencil pencil2 50 g - | paperclip paperclip 40 g -
  books books 60 g music | bulb bulb 50 g kitchen | briefcase briefcase 60 g street
  folder file_folder,~open_file_folder 55 g - | calendar calendar 55 g kitchen | telephone phone 55 g kitchen
  clock mantelpiece_clock,~alarm_clock 60 g kitchen | notebook notebook_with_decorative_cover,~notebook 55 g -
  ruler straight_ruler,~triangular_ruler 55 g - | plant potted_plant 70 g kitchen,street | cabinet file_cabinet 85 g -
  envelope email 50 g street | globe earth_africa,earth_americas,~earth_asia 60 g -
  bin wastebasket 60 g kitchen,street | parcel package 60 g street,party
sky
  aeroplane small_airplane,~airplane 80 a - | helicopter helicopter 85 a street,sea | rocket rocket 80 a -
  cloud cloud 80 a farm,sea | sun sun_with_face,~sunny 75 a farm,sea
  moon crescent_moon,~first_quarter_moon_with_face 65 a forest | star star,~star2 55 a party
  rainbow rainbow 90 a farm | kite kite 65 a sport,sea | eagle eagle 65 a forest,farm | satellite satellite 65 a -
  saucer flying_saucer 75 a - | comet comet 65 a - | planet ringed_planet 70 a - | parachute parachute 80 a sport
  dove dove_of_peace 55 a sea,street | bat bat 50 a forest | bee bee 40 a farm,forest | snowflake snowflake 55 a sport
party
  cake birthday 75 g kitchen | balloon balloon 65 a sky | gift gift 60 g office | candle candle 50 g kitchen,music
  popcorn popcorn 55 g sport | lollipop lollipop 50 g street | doughnut doughnut 50 g kitchen,office
  cupcake cupcake 50 g kitchen | crown crown 50 g - | bottle champagne 60 g kitchen | cocktail cocktail 55 g sea
  sundae ice_cream 50 g sea | teddy teddy_bear 65 g office | candy candy 45 g - | pizza pizza 60 g kitchen,office
  lantern izakaya_lantern 60 a street | glitterball mirror_ball 60 a music | cookie cookie 45 g kitchen
  burger hamburger 50 g kitchen,sport | bouquet bouquet 60 g office
"""

# Drawings for the knob `clutter`: small props that no text ever names.
CLUTTER = (
    "gear nut_and_bolt magnet pill jigsaw game_die spades clubs hearts diamonds droplet gem ring coin label"
    " chess_pawn thread yarn socks gloves hourglass link hook soap toothbrush seedling shamrock white_flower"
).split()

# noun: (first mention, is it plural, later mention, is that plural). All others: "a cow", "the cow", singular.
_FORMS = {
    "sun": ("the sun", False, "the sun", False),
    "moon": ("the moon", False, "the moon", False),
    "headphones": ("a pair of headphones", False, "the headphones", True),
    "skis": ("a pair of skis", False, "the skis", True),
    "scissors": ("a pair of scissors", False, "the scissors", True),
    "maracas": ("a pair of maracas", False, "the maracas", True),
    "pancakes": ("some pancakes", True, "the pancakes", True),
    "skittles": ("some skittles", True, "the skittles", True),
    "books": ("some books", True, "the books", True),
    **{
        mass: (f"some {mass}", False, f"the {mass}", False)
        for mass in ("bread", "cheese", "butter", "broccoli", "popcorn", "corn", "garlic", "coral")
    },
}

# Mirrored, these would show mirrored writing or figures.
_NEVER_MIRRORED = {"notebook", "calendar", "clock", "stopwatch", "bank", "school", "medal", "extinguisher", "ambulance"}


@dataclass(frozen=True)
class Thing:
    """A noun of the world: its drawings, natural size, where it stands, the themes it belongs to, its grammar."""

    noun: str
    theme: str
    also: tuple[str, ...]
    drawings: tuple[str, ...]
    unseen: tuple[str, ...]
    size: float
    stands: str
    first: tuple[str, bool]
    later: tuple[str, bool]
    mirrored: bool


@dataclass(frozen=True)
class Place:
    """A background: where its horizon is, and in which heights (of an object's lower edge) things may stand.

    All heights run from 0 at the top to 1 at the bottom of the picture. `water` is None on dry land.
    """

    name: str
    horizon: float
    ground: tuple[float, float]
    back: tuple[float, float]
    water: tuple[float, float] | None = None


PLACES = {
    place.name: place
    for place in (
        Place("pasture", 0.44, (0.56, 0.97), (0.52, 0.64)),
        Place("open sea", 0.36, (0.50, 0.94), (0.50, 0.60), (0.50, 0.94)),
        Place("glade", 0.44, (0.57, 0.97), (0.53, 0.66)),
        Place("tiles", 0.50, (0.58, 0.97), (0.57, 0.68)),
        Place("road", 0.46, (0.60, 0.97), (0.56, 0.66)),
        Place("pitch", 0.42, (0.60, 0.96), (0.54, 0.66)),
        Place("stage", 0.48, (0.58, 0.97), (0.57, 0.68)),
        Place("study", 0.50, (0.58, 0.97), (0.57, 0.68)),
        Place("heights", 0.80, (0.90, 0.97), (0.88, 0.94)),
        Place("hall", 0.50, (0.58, 0.97), (0.57, 0.68)),
        # Shared between themes, so that a background alone does not give the theme away.
        Place("meadow", 0.46, (0.56, 0.97), (0.52, 0.64)),
        Place("dusk", 0.54, (0.63, 0.97), (0.59, 0.70)),
        Place("snow", 0.48, (0.58, 0.97), (0.54, 0.66)),
        Place("beach", 0.34, (0.72, 0.97), (0.68, 0.76), (0.42, 0.62)),
        Place("studio", 0.50, (0.58, 0.97), (0.57, 0.68)),
        Place("room", 0.50, (0.58, 0.97), (0.57, 0.68)),
    )
}

OWN_PLACE = dict(
    zip(
        THEMES,
        ("pasture", "open sea", "glade", "tiles", "road", "pitch", "stage", "study", "heights", "hall"),
        strict=True,
    )
)
SHARED_PLACES = {
    "farm": ("meadow", "dusk", "snow", "studio"),
    "sea": ("beach",),
    "forest": ("meadow", "dusk", "snow", "studio"),
    "kitchen": ("room", "studio", "studio", "meadow"),
    "street": ("meadow", "dusk", "snow", "studio"),
    "sport": ("meadow", "beach", "snow", "studio", "room"),
    "music": ("room", "studio", "studio", "dusk"),
    "office": ("room", "room", "studio", "studio"),
    "sky": ("meadow", "dusk", "snow", "beach"),
    "party": ("room", "studio", "meadow", "beach"),
}


def _indefinite(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _things() -> dict[str, Thing]:
    things: dict[str, Thing] = {}
    theme = ""
    for line in _TABLE.strip().splitlines():
        if not line.startswith(" "):
            theme = line
            continue
        for row in line.split("|"):
            noun, drawings, size, stands, also = row.split()
            singular = _indefinite(noun), False, f"the {noun}", False
            first, first_plural, later, later_plural = _FORMS.get(noun, singular)
            names = drawings.split(",")
            things[noun] = Thing(
                noun=noun,
                theme=theme,
                also=() if also == "-" else tuple(also.split(",")),
                drawings=tuple(name for name in names if not name.startswith("~")),
                unseen=tuple(name[1:] for name in names if name.startswith("~")),
                size=int(size) / 100,
                stands=stands,
                first=(first, first_plural),
                later=(later, later_plural),
                mirrored=noun not in _NEVER_MIRRORED,
            )
    return things


THINGS = _things()

# Who may appear in a theme's scenes, with a weight: things of its own count double.
CAST = {
    theme: tuple(
        (thing, 2 if thing.theme == theme else 1)
        for thing in THINGS.values()
        if theme == thing.theme or theme in thing.also
    )
    for theme in THEMES
}

KINDS = ("left", "right", "above", "below", "near", "bigger", "smaller")
CONVERSE = {
    "left": "right", "right": "left", "above": "below", "below": "above",
    "near": "near", "bigger": "smaller", "smaller": "bigger",
}  # fmt: skip


@cache
def unseen_pair(noun: str, kind: str) -> bool:
    """Whether the pair of object and relation is kept out of training: about one in twenty, by a fixed hash.

    >>> unseen_pair("cow", "left")
    False
    """
    return zlib.crc32(f"{noun} is {kind}".encode()) % 20 == 0


def aspect(drawing: str) -> float:
    """Width over height of the cropped drawing."""
    _, width, height = SHAPES[drawing]
    return width / height


def code_of(drawing: str) -> str:
    """The code points of a drawing known by its short name."""
    return SHAPES[drawing][0]
