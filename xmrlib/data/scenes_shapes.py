"""The drawings that `scenes` uses: OpenMoji short name, code points, width and height of the crop in thousandths.

Measured once with resvg at 1,000 pixels and kept here, so that a scene can be laid out before anything is drawn,
and so that its boxes do not depend on the renderer. A test measures them again.
"""

from __future__ import annotations

_TABLE = """
accordion 1FA97 869 529, airplane 2708 721 722, alarm_clock 23F0 668 705, ambulance 1F691 834 405
anchor 2693 667 680, apple 1F34E 714 711, articulated_lorry 1F69B 896 431, athletic_shoe 1F45F 900 366
axe 1FA93 278 746, badger 1F9A1 884 481, badminton_racquet_and_shuttlecock 1F3F8 543 890
baguette_bread 1F956 778 778, balloon 1F388 727 877, banana 1F34C 620 718, banjo 1FA95 767 748
bank 1F3E6 640 696, baseball 26BE 834 834, basket 1F9FA 622 669, basketball 1F3C0 834 834, bat 1F987 966 714
beaver 1F9AB 729 512, bee 1F41D 868 576, beetle 1FAB2 530 731, bell 1F514 602 785, bell_pepper 1FAD1 510 656
bike 1F6B2 756 504, billed_cap 1F9E2 713 551, bird 1F426 730 572, birthday 1F382 890 809
black_bird 1F426-200D-2B1B 730 572, black_cat 1F408-200D-2B1B 894 581, blowfish 1F421 798 643
blue_car 1F699 860 435, boat 26F5 798 787, books 1F4DA 714 573, boomerang 1FA83 700 599, bouquet 1F490 658 868
bowl_with_spoon 1F963 834 693, bowling 1F3B3 891 894, boxing_glove 1F94A 586 876, bread 1F35E 890 556
briefcase 1F4BC 693 679, broccoli 1F966 630 723, brown_mushroom 1F344-200D-1F7EB 591 611, bucket 1FAA3 584 738
bug 1F41B 871 392, bulb 1F4A1 488 824, bus 1F68C 895 299, butter 1F9C8 892 348, butterfly 1F98B 902 630
calendar 1F4C6 696 693, candle 1F56F 208 797, candy 1F36C 834 834, canoe 1F6F6 876 544, car 1F697 868 383
carrot 1F955 630 721, cat2 1F408 892 581, cd 1F4BF 834 834, chair 1FA91 535 838, champagne 1F37E 877 875
cheese_wedge 1F9C0 890 626, chess_pawn 265F 559 766, chipmunk 1F43F 778 807, church 26EA 500 862
cloud 2601 862 549, clubs 2663 826 751, cocktail 1F378 722 904, coffee 2615 654 625, coin 1FA99 767 800
comet 2604 657 627, computer 1F4BB 725 919, construction 1F6A7 808 658, cookie 1F36A 806 805
coral 1FAB8 613 768, corn 1F33D 649 644, cow2 1F404 851 532, crab 1F980 732 567, crescent_moon 1F319 822 825
croissant 1F950 724 417, crown 1F451 918 693, cupcake 1F9C1 695 890, dart 1F3AF 944 944
deciduous_tree 1F333 775 806, deer 1F98C 764 891, desert_island 1F3DD 869 654, desktop_computer 1F5A5 919 821
diamonds 2666 556 778, diving_mask 1F93F 872 785, dog2 1F415 816 707, dolphin 1F42C 744 601
donkey 1FACF 690 596, doughnut 1F369 834 834, dove_of_peace 1F54A 635 796, droplet 1F4A7 584 918
drum_with_drumsticks 1F941 691 719, duck 1F986 702 805, dvd 1F4C0 834 834, eagle 1F985 707 806
earth_africa 1F30D 806 806, earth_americas 1F30E 806 806, earth_asia 1F30F 806 806, egg 1F95A 610 806
email 2709 722 462, empty_nest 1FAB9 706 527, evergreen_tree 1F332 562 835, ferry 26F4 890 724
file_cabinet 1F5C4 556 696, file_folder 1F4C1 696 694, fire_extinguisher 1F9EF 549 781
first_place_medal 1F947 668 917, first_quarter_moon_with_face 1F31B 560 918, fish 1F41F 754 568
flamingo 1F9A9 678 716, flute 1FA88 662 663, flying_disc 1F94F 782 587, flying_saucer 1F6F8 754 454
fountain 26F2 890 806, fried_egg 1F373 779 779, game_die 1F3B2 637 551, garlic 1F9C4 633 778, gear 2699 688 668
gem 1F48E 918 752, gift 1F381 640 739, gloves 1F9E4 760 559, goal_net 1F945 750 563, goat 1F410 829 725
goose 1FABF 587 782, green_apple 1F34F 714 711, green_salad 1F957 834 753, guitar 1F3B8 701 649
hamburger 1F354 673 620, handbag 1F45C 722 741, hatched_chick 1F425 454 723, headphones 1F3A7 782 799
hearts 2665 712 699, hedgehog 1F994 861 483, helicopter 1F681 834 513, herb 1F33F 524 608, hook 1FA9D 476 808
hot_pepper 1F336 729 674, hourglass 231B 556 806, house 1F3E0 500 598, house_with_garden 1F3E1 827 548
hut 1F6D6 769 723, ice_cream 1F368 584 708, ice_skate 26F8 759 695, izakaya_lantern 1F3EE 484 891
jar 1FAD9 500 780, jellyfish 1FABC 701 884, jigsaw 1F9E9 723 723, kite 1FA81 817 862, label 1F3F7 820 584
ladder 1FA9C 476 724, ladybug 1F41E 636 717, lemon 1F34B 684 684, link 1F517 306 765, llama 1F999 714 706
lobster 1F99E 586 806, lollipop 1F36D 705 705, long_drum 1FA98 420 723, luggage 1F9F3 778 612
magnet 1F9F2 432 747, mailbox 1F4EB 660 725, mantelpiece_clock 1F570 860 609, maracas 1FA87 766 687
mega 1F4E3 852 649, microphone 1F3A4 629 686, minibus 1F690 880 401, mirror_ball 1FAA9 722 862
motor_scooter 1F6F5 761 480, mushroom 1F344 723 656, musical_keyboard 1F3B9 691 691
nest_with_eggs 1FABA 706 527, notebook 1F4D3 709 709, notebook_with_decorative_cover 1F4D4 748 765
nut_and_bolt 1F529 674 683, octopus 1F419 794 675, oncoming_automobile 1F698 597 453, oncoming_bus 1F68D 668 709
oncoming_taxi 1F696 597 514, onion 1F9C5 687 782, open_file_folder 1F4C2 793 694, owl 1F989 430 727
ox 1F402 865 564, package 1F4E6 742 852, palm_tree 1F334 719 701, pancakes 1F95E 676 528
paperclip 1F4CE 640 565, parachute 1FA82 718 814, passenger_ship 1F6F3 890 827, pencil2 270F 707 707
penguin 1F427 649 826, phone 260E 822 640, pie 1F967 890 597, pig2 1F416 847 527, pill 1F48A 720 720
pineapple 1F34D 387 812, pizza 1F355 598 709, poodle 1F429 709 724, popcorn 1F37F 556 737
postal_horn 1F4EF 887 630, potato 1F954 670 778, potted_plant 1FAB4 551 711, printer 1F5A8 918 904
rabbit2 1F407 773 664, raccoon 1F99D 838 545, racehorse 1F40E 870 731, racing_motorcycle 1F3CD 891 487
radio 1F4FB 692 706, rainbow 1F308 808 808, ram 1F40F 859 714, ring 1F48D 583 709, ring_buoy 1F6DF 833 833
ringed_planet 1FA90 890 627, rock 1FAA8 586 584, rocket 1F680 694 695, roller_skate 1F6FC 705 658
rooster 1F413 688 708, running_shirt_with_sash 1F3BD 584 890, satellite 1F6F0 916 916, saxophone 1F3B7 605 851
school 1F3EB 828 661, scissors 2702 754 754, scooter 1F6F4 674 723, seal 1F9AD 674 719, seedling 1F331 654 634
shamrock 2618 543 753, shark 1F988 932 432, sheep 1F411 898 663, shell 1F41A 356 604
shopping_bags 1F6CD 722 778, shopping_trolley 1F6D2 714 719, shrimp 1F990 652 781, skateboard 1F6F9 722 209
ski 1F3BF 880 717, skunk 1F9A8 710 727, sled 1F6F7 804 261, small_airplane 1F6E9 680 674, snail 1F40C 730 455
snowflake 2744 722 834, soap 1F9FC 676 485, soccer 26BD 834 834, socks 1F9E6 573 661, spades 2660 686 780
speedboat 1F6A4 890 507, spoon 1F944 191 704, sports_medal 1F3C5 668 918, star 2B50 766 730, star2 1F31F 894 860
stopwatch 23F1 689 755, straight_ruler 1F4CF 656 741, studio_microphone 1F399 476 693
sun_with_face 1F31E 918 908, sunflower 1F33B 630 766, sunny 2600 862 862
table_tennis_paddle_and_ball 1F3D3 664 893, taxi 1F695 868 425, teapot 1FAD6 798 557, teddy_bear 1F9F8 722 806
tent 26FA 624 542, thread 1F9F5 709 684, tomato 1F345 723 763, toothbrush 1FAA5 575 579, tophat 1F3A9 918 731
tractor 1F69C 764 538, tram 1F68A 694 751, triangular_ruler 1F4D0 567 584, trolleybus 1F68E 667 597
trophy 1F3C6 690 691, tropical_fish 1F420 737 624, truck 1F69A 828 357, trumpet 1F3BA 807 556
turkey 1F983 631 716, turtle 1F422 868 569, tv 1F4FA 890 735, umbrella_on_ground 26F1 684 711
vertical_traffic_light 1F6A6 334 723, violin 1F3BB 762 752, volleyball 1F3D0 834 834, wastebasket 1F5D1 612 694
whale 1F433 728 633, whale2 1F40B 644 666, white_flower 1F4AE 760 747, wood 1FAB5 535 693, yarn 1F9F6 819 646
"""


def _shapes() -> dict[str, tuple[str, int, int]]:
    rows = (row.split() for row in _TABLE.replace("\n", ", ").strip(" ,").split(", "))
    return {name: (code, int(width), int(height)) for name, code, width, height in rows}


SHAPES = _shapes()
