"""The words: common English words of five letters, chosen by us; no published list was taken over."""

from __future__ import annotations

LENGTH = 5
_LIST = """
about above acorn actor admit adopt adult after again agent agree ahead alarm album alert alike alive allow
alone along aloud amber among ample angel anger angle angry ankle apart apple apron arena argue arise armor
arrow aside atlas attic audio avoid awake award aware bacon badge baker basic basil basin beach beard beast
began begin being belly below bench berry birch birth black blade blame blank blast blaze blend blind block
bloom board boast bonus boost booth bored bowls brain brake brand brass brave bread break brick bride brief
bring broad brook broom brown brush build built bunch burst buyer cabin cable camel canal candy canoe cargo
carol carry carve catch cause cedar chain chair chalk charm chart chase cheap check cheek cheer chess chest
chief child chill chirp choir chord chose cider civic claim clash class clean clear clerk click cliff climb
clock close cloth cloud clove clown coach coast cocoa comet comic coral couch could count court cover crack
craft crane crash crawl cream creek crisp cross crowd crown crumb crust cubic curly curve cycle daily dairy
daisy dance dealt decay delay depth diary diner dizzy dough dozen draft drain drama drawn dream dress dried
drift drill drink drive eager eagle early earth easel eight elbow elder empty enemy enjoy enter entry equal
error essay event every exact exist extra fable faint fairy faith false fancy feast fence ferry fever fiber
field fifty fight final flame flash fleet float flock flood floor flour fluid flute focus force forge forth
forty found frame fresh frost fruit funny gauge ghost giant given glass gleam globe glory glove grace grade
grain grand grant grape graph grasp grass great green greet grill groom group guard guess guest guide habit
happy harsh haste hazel heart heavy hedge hello herbs hinge hobby honey honor horse hotel hound house human
humor hurry ideal image index inner input irony ivory jelly jewel joint jolly judge juice juicy kayak kneel
knife knock known label labor ladle lance large laser later laugh layer learn lease least leave lemon level
lever light lilac limit linen liver llama local lodge logic loose loyal lucky lunar lunch magic major maker
mango manor maple march marsh match mayor medal melon mercy merit merry metal meter midst might minor model
money month moose moral motor motto mount mouse mouth movie mural music nasal naval nerve never newer night
noble noise north novel nurse oasis ocean offer often olive onion opera orbit order other otter outer owner
oxide paint panda panel paper party pasta paste patch patio pause peace peach pearl pedal penny petal phase
phone photo piano piece pilot pinch pitch pixel pizza place plain plane plant plate plaza point polar porch
pouch power press price pride prime print prism prize proof proud pulse punch pupil puppy purse quack quail
queen quest quick quiet quilt quite quote radar radio raise rally ranch range rapid razor reach ready realm
rebel refer relax reply rhyme ridge rifle right rinse rival river roast robin robot rocky rough round route
royal rural salad salsa sandy sauce scale scarf scene scent scoop score scout scrap seven shade shake shape
share shark sharp sheep sheet shelf shell shine shirt shock shore short shout shown shrub sight silky silly
skate skill slate sleep slice slide slope small smart smell smile smoke snack snail snake solar solid solve
sound south space spare spark speak spear speed spell spend spice spike spoon sport spray squad stack staff
stage stair stamp stand start state steam steel steep stick still stock stone stool storm story stove
straw strip study stuff style sugar sunny super surge swamp swarm sweep sweet swift swing sword syrup table
taste teach tempo tenor thank theme there thick thing think third thorn three throw thumb tiger timer title
toast today token topaz torch total touch tower trace track trade trail train treat trend trial tribe trick
truck truly trunk trust truth tulip tunic turbo tutor twice twist uncle under union unite unity upper urban
usage usual valid value vapor vault verse video villa vinyl viola visit vital vivid vocal voice voter wagon
waist waltz waste watch water weary weave wheat wheel where while whirl white whole width windy woman world
worry worth woven wrist write wrong yacht yearn yeast yield young youth zebra
"""
WORDS = dict.fromkeys(_LIST.split())
"""In the order of the alphabet; a dict, for its order and its quick `in`."""
