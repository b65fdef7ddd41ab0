"""Says what a public decoder reads in pictures, a code a line: its kind, a tab, its text."""

import sys

import zxingcpp
from PIL import Image

for path in sys.argv[1:]:
    for code in zxingcpp.read_barcodes(Image.open(path)):
        print(f"{code.format}\t{code.text}")
