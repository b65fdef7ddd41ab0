//! Who orders and where they live: names and addresses as they are written in ten countries. The
//! people are invented; the cities, postal codes and provinces belong together.

/// A place: city, province where the country writes one, postal code.
pub(super) type Place = (&'static str, Option<&'static str>, &'static str);

/// A country with some of its people.
pub(super) struct Country {
    /// ISO 3166-1.
    pub(super) code: &'static str,
    /// First names.
    pub(super) first: [&'static str; 4],
    /// Family names.
    pub(super) family: [&'static str; 4],
    /// Streets; the number goes where the country puts it.
    pub(super) streets: [&'static str; 3],
    /// Whether the house number stands before the street.
    pub(super) number_first: bool,
    /// Places.
    pub(super) places: [Place; 3],
    /// How telephone numbers begin; six digits follow.
    pub(super) phone: &'static str,
}

#[rustfmt::skip]
pub(super) const COUNTRIES: &[Country] = &[
    Country { code: "AT", first: ["Anna", "Lukas", "Katharina", "Florian"], family: ["Gruber", "Huber", "Wagner", "Pichler"], streets: ["Lindengasse", "Mozartstraße", "Am Graben"], number_first: false, places: [("Wien", None, "1070"), ("Graz", None, "8010"), ("Salzburg", None, "5020")], phone: "+4366012" },
    Country { code: "DE", first: ["Jonas", "Marie", "Felix", "Jürgen"], family: ["Schneider", "Köhler", "Weiß", "Krüger"], streets: ["Bergmannstraße", "Schulstraße", "Gartenweg"], number_first: false, places: [("Berlin", None, "10961"), ("Hamburg", None, "20095"), ("München", None, "80331")], phone: "+4915123" },
    Country { code: "BE", first: ["Emma", "Noah", "Lotte", "Arthur"], family: ["Peeters", "Janssens", "Dubois", "Maes"], streets: ["Rue Haute", "Kerkstraat", "Nieuwstraat"], number_first: false, places: [("Bruxelles", None, "1000"), ("Antwerpen", None, "2000"), ("Gent", None, "9000")], phone: "+32470" },
    Country { code: "DK", first: ["Freja", "Søren", "Ida", "Mikkel"], family: ["Jensen", "Nielsen", "Sørensen", "Møller"], streets: ["Vestergade", "Nørrebrogade", "Skolevej"], number_first: false, places: [("København K", None, "1050"), ("Aarhus C", None, "8000"), ("Odense C", None, "5000")], phone: "+4520" },
    Country { code: "ES", first: ["Lucía", "Hugo", "Martina", "Íñigo"], family: ["García López", "Fernández Ruiz", "Peña Soto", "Martín Gil"], streets: ["Calle Mayor", "Calle de Alcalá", "Gran Vía"], number_first: false, places: [("Madrid", Some("Madrid"), "28013"), ("Barcelona", Some("Barcelona"), "08002"), ("Sevilla", Some("Sevilla"), "41001")], phone: "+34612" },
    Country { code: "FR", first: ["Chloé", "Léo", "Manon", "François"], family: ["Lefèvre", "Moreau", "Girard", "D'Aubigny"], streets: ["rue de la Paix", "avenue Foch", "rue Victor Hugo"], number_first: true, places: [("Paris", None, "75002"), ("Lyon", None, "69006"), ("Marseille", None, "13001")], phone: "+33612" },
    Country { code: "IT", first: ["Giulia", "Matteo", "Chiara", "Niccolò"], family: ["Rossi", "Esposito", "De Luca", "Bianchi"], streets: ["Via Roma", "Corso Garibaldi", "Via Dante"], number_first: false, places: [("Milano", Some("MI"), "20121"), ("Roma", Some("RM"), "00184"), ("Torino", Some("TO"), "10121")], phone: "+393471" },
    Country { code: "NL", first: ["Sanne", "Daan", "Fleur", "Bram"], family: ["de Vries", "van den Berg", "Bakker", "Visser"], streets: ["Keizersgracht", "Dorpsstraat", "Oude Delft"], number_first: false, places: [("Amsterdam", None, "1015 CJ"), ("Utrecht", None, "3511 LX"), ("Delft", None, "2611 CC")], phone: "+31612" },
    Country { code: "PL", first: ["Zofia", "Jakub", "Małgorzata", "Łukasz"], family: ["Nowak", "Wiśniewska", "Zając", "Dąbrowski"], streets: ["ul. Długa", "ul. Piękna", "al. Jerozolimskie"], number_first: false, places: [("Warszawa", None, "00-238"), ("Kraków", None, "31-147"), ("Gdańsk", None, "80-831")], phone: "+48512" },
    Country { code: "SE", first: ["Astrid", "Nils", "Åsa", "Björn"], family: ["Lindqvist", "Öberg", "Håkansson", "Nyström"], streets: ["Storgatan", "Drottninggatan", "Ringvägen"], number_first: false, places: [("Stockholm", None, "111 51"), ("Göteborg", None, "411 14"), ("Malmö", None, "211 22")], phone: "+46701" },
];

/// The demo merchant's known customers: code, and the country that they order from.
pub(super) const CUSTOMERS: &[(&str, &str)] = &[
    ("C-1001", "AT"),
    ("C-1002", "DE"),
    ("C-1003", "ES"),
    ("C-1004", "FR"),
    ("C-1005", "PL"),
    ("C-1006", "SE"),
    ("C-1007", "IT"),
    ("C-1008", "NL"),
];

/// The demo merchant's business customers: code, company, country.
pub(super) const COMPANIES: &[(&str, &str, &str)] = &[
    ("B-2001", "Kaffeehaus am Ring GmbH", "AT"),
    ("B-2002", "Café Océano S.L.", "ES"),
    ("B-2003", "Nordlys Bageri ApS", "DK"),
    ("B-2004", "Büro Sonnenschein KG", "DE"),
];
