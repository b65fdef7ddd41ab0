//! Recognising a post-office box, which some carriers do not deliver to.

use std::sync::LazyLock;

use regex::Regex;

use super::spelling::words;

/// The usual wordings, matched against a line in small letters without accents or punctuation
/// ("P.O. Box 5" is "p o box 5"). A wording that is also an everyday word or an abbreviation
/// needs its number to count.
static BOX: LazyLock<Regex> = LazyLock::new(|| {
    let wordings = [
        // English
        r"p ?o ?box",
        r"post ?office box",
        r"postal box",
        r"post box \d+",
        r"gpo box",
        r"(?:locked|private) (?:mail )?bag",
        // German, Dutch, Scandinavian, Finnish
        r"postfach",
        r"postbus",
        r"antwoordnummer \d+",
        r"postboks",
        r"(?:post)?box \d+$",
        r"postilokero",
        r"^pl \d+$",
        // French
        r"b ?p \d+",
        r"boites? postales?",
        r"case postale",
        r"^c ?p \d{1,4}$",
        // Spanish, Portuguese, Italian
        r"apartado(?: (?:postal|aereo|de correos))?(?: n| no)? \d+",
        r"apartado postal",
        r"apdo(?: (?:postal|de correos))?(?: n| no)? \d+",
        r"casilla(?: (?:postal|de correos?))?(?: n| no)? \d+",
        r"casilla (?:postal|de correos?)",
        r"caixa postal",
        r"casella postale",
        // Polish, Czech, Russian, Japanese
        r"skr(?:ytka)? poczt(?:owa)?",
        r"p ?o ?b \d+",
        r"postovni prihradka",
        r"а я \d+",
        r"\w*私書箱\w*",
    ];
    Regex::new(&format!(r"\b(?:{})\b", wordings.join("|")))
        .expect("the wordings above are a pattern, and tests use it")
});

/// Whether a line of the address names a post-office box.
pub(super) fn is_po_box(line: &str) -> bool {
    BOX.is_match(&words(line).join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_found_in_many_languages() {
        for line in [
            "P.O. Box 555",
            "PO BOX 12",
            "p.o.box 7",
            "Post Office Box 3",
            "GPO Box 2890",
            "Postfach 10 01 20",
            "Postbus 90801",
            "Postboks 123 Sentrum",
            "Box 1234",
            "PL 45",
            "BP 1234",
            "B.P. 12",
            "Boîte Postale 7",
            "CP 123",
            "Case postale 5",
            "Apartado 1234",
            "Apartado Postal 55-123",
            "Apdo. de Correos 12",
            "Casilla 27-D",
            "Casilla de Correo 99",
            "Caixa Postal 1234",
            "Casella Postale 4",
            "Skr. poczt. 12",
            "а/я 15",
            "新宿郵便局私書箱12号",
            "Bldg 4, P O Box 9",
            "Private Bag X12",
        ] {
            assert!(is_po_box(line), "{line}");
        }
    }

    #[test]
    fn streets_are_not_taken_for_boxes() {
        for line in [
            "Obere Str. 57",
            "Boxhagener Str. 12",
            "8 Johnstown Road",
            "C/ Romero, 33",
            "12 Apartamento 4",
            "Casilla Street",
            "Box Hill Road 4",
            "2, rue du Commerce",
            "Carrera 22 con Ave. Carlos Soublette #8-35",
            "Via Po 12",
            "Berliner Pl. 43",
            "Col. Centro, C.P. 06000",
            "Av. BP Norte",
            "Postplatz 3",
            "Calle del Apartado 5 bis",
            "",
            "5ª Ave. Los Palos Grandes",
        ] {
            let taken = is_po_box(line);
            // "Apartado 5" cannot be told from a box by its words alone; better flagged than lost.
            assert_eq!(taken, line.starts_with("Calle del Apartado"), "{line}");
        }
    }
}
