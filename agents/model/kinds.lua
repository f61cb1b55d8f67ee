-- luacheck: no max line length
-- Kinds of values that parameters of made tools hold: lists of our own, and makers of dates, times, numbers and codes.
local words = require "mobilellm.train.words"

local kinds = {}

local function list(text) return words.list(text, ",") end

-- What a parameter may hold, by kind.
local values = {
  city = list [[Paris, London, New York, Berlin, Tokyo, San Francisco, Madrid, Rome, Oslo, Lagos, Nairobi, Mumbai, Delhi, Beijing,
    Shanghai, Sydney, Toronto, Chicago, Boston, Seattle, Los Angeles, Lima, Bogota, Mexico City, Cairo, Istanbul, Athens, Vienna, Prague,
    Warsaw, Dublin, Edinburgh, Lisbon, Porto, Zurich, Geneva, Munich, Hamburg, Stockholm, Helsinki, Copenhagen, Amsterdam, Brussels,
    Milan, Naples, Seoul, Osaka, Bangkok, Hanoi, Singapore, Jakarta, Manila, Dubai, Houston, Dallas, Miami, Denver, Phoenix, Atlanta,
    Las Vegas, San Diego, Portland, Vancouver, Montreal, Auckland, Perth, Cape Town, Buenos Aires, Santiago, Rio de Janeiro]],
  country = list [[France, Germany, Spain, Italy, Japan, China, India, Brazil, Canada, Mexico, Norway, Sweden, Finland, Denmark, Poland,
    Greece, Turkey, Egypt, Kenya, Nigeria, South Africa, Australia, New Zealand, Argentina, Chile, Peru, Colombia, the United States,
    United Kingdom, Ireland, Portugal, Switzerland, Austria, Belgium, Netherlands, South Korea, Thailand, Vietnam, Indonesia, Iceland]],
  person = list [[John Smith, Alice Johnson, Bob, Maria Garcia, Wei Chen, Emily Davis, Ahmed Ali, Sophie Martin, David Brown, Anna,
    Michael Lee, Olivia Wilson, Lucas Silva, Emma, Noah Williams, Priya Patel, Tom Baker, Laura Rossi, Peter Novak, Yuki Tanaka,
    Sarah Connor, James Bond, Grace Kim, Henry Ford, Jane Doe, Carlos Ruiz, Nina Petrova, Omar Hassan, Lily Evans, Oscar Wilde,
    Mr. Brown, Dr. Kim, Aunt May, my boss, my sister, Isaac Newton, Marie Curie, Albert Einstein, Ada Lovelace, Robert, Kate Bell]],
  first_name = list [[Anna, Ben, Carla, Dmitri, Ebony, Farid, Greta, Hiro, Ines, Jonas, Kofi, Lena, Marek, Nadia, Oscar, Priya, Quentin, Rosa,
    Sven, Tamara, Uma, Viktor, Wendy, Yusuf, Zoe, Mark, Angela, John, Joanna, Mike, Katie, Rob, Steve, Claire, Amir, Chloe, Diego, Fiona]],
  last_name = list [[Smith, Garcia, Chen, Müller, O'Brien, Nguyen, Kowalski, Tanaka, Okafor, Rossi, Hansen, Dubois, Patel, Silva, Novak, Kim,
    van Dijk, Andersson, Haddad, Moreau, Fischer, Ivanova, Lopez, Brown, Schneider, Yilmaz, Costa, Jensen, Walker, McAllister]],
  company = list [[Apple, Google, Microsoft, Amazon, Tesla, Netflix, Intel, Nvidia, Siemens, Toyota, Sony, Nike, Adidas, Walmart, IBM,
    Oracle, Boeing, Airbus, Shell, Pfizer, Coca Cola, Starbucks, Uber, Spotify, Samsung, Volkswagen, Ford, Acme Corp, Globex, Initech]],
  product = list [[laptop, iPhone 14, running shoes, coffee maker, wireless headphones, office chair, desk lamp, backpack, blender,
    gaming mouse, mechanical keyboard, winter jacket, yoga mat, water bottle, smart watch, electric toothbrush, tent, bicycle, toaster,
    novel, camera, printer, monitor, sunglasses, sofa, red dress, phone case, guitar, vacuum cleaner, air fryer]],
  food = list [[pasta, chicken, rice, tofu, salmon, apples, bananas, eggs, potatoes, tomatoes, cheese, bread, lentils, mushrooms, beef,
    carrots, spinach, onions, garlic, oats, yogurt, avocado, shrimp, beans, broccoli, peanuts, noodles, milk, honey, flour]],
  dish = list [[lasagna, pad thai, chicken curry, beef stew, caesar salad, tomato soup, chocolate cake, apple pie, sushi, tacos,
    margherita pizza, ramen, paella, falafel, pancakes, risotto, banana bread, shepherd's pie, greek salad, cheeseburger]],
  cuisine = list "Italian, Thai, Mexican, Indian, Chinese, French, Greek, Japanese, Korean, Spanish, Vietnamese, Turkish, Lebanese",
  language = list [[English, Spanish, French, German, Italian, Chinese, Japanese, Korean, Russian, Arabic, Hindi, Portuguese, Dutch,
    Swedish, Turkish, Polish, Greek, Hebrew, Latin, Swahili]],
  animal = list "dog, cat, elephant, blue whale, penguin, tiger, panda, eagle, horse, dolphin, honey bee, wolf, kangaroo, koala, owl",
  currency = list "USD, EUR, GBP, JPY, dollars, euros, pounds, yen, Swiss francs, INR, CAD, AUD, pesos, rupees, SEK",
  song = list [[Yesterday, Hey Jude, Bohemian Rhapsody, Imagine, Thriller, Hello, Shape of You, Clocks, Yellow, Halo, Fix You,
    Billie Jean, Rolling in the Deep, Smells Like Teen Spirit, Hotel California, Take On Me, Let It Be, Purple Rain]],
  artist = list [[the Beatles, Queen, Adele, Drake, Taylor Swift, Coldplay, Miles Davis, Mozart, Beethoven, Madonna, Radiohead, Bach,
    Ed Sheeran, Rihanna, Pink Floyd, U2, Nirvana, Daft Punk, Bob Dylan, Nina Simone]],
  movie = list [[The Matrix, Titanic, Inception, Frozen, The Godfather, Casablanca, Avatar, Alien, Jaws, Toy Story, Parasite, Psycho,
    The Lion King, Star Wars, Forrest Gump, Gladiator, Up, Amelie, Blade Runner, Vertigo]],
  book = list [[Dune, Emma, The Hobbit, 1984, Moby Dick, Hamlet, War and Peace, Dracula, The Great Gatsby, Ulysses, Frankenstein,
    Pride and Prejudice, Don Quixote, The Odyssey, Brave New World, The Trial, Jane Eyre, Catch-22]],
  topic = list [[climate change, artificial intelligence, the French Revolution, black holes, photosynthesis, renewable energy, jazz,
    the Roman Empire, quantum computing, healthy eating, electric cars, world war two, the stock market, vaccines, gardening, chess,
    space travel, robotics, inflation, the Olympic games, blockchain, machine learning, mental health, volcanoes, dinosaurs]],
  sport = list "football, basketball, tennis, baseball, hockey, cricket, rugby, volleyball, golf, swimming",
  team = list [[Barcelona, Real Madrid, Manchester United, Los Angeles Lakers, Chicago Bulls, Arsenal, Liverpool, Bayern Munich, Juventus,
    New York Yankees, Boston Celtics, Golden State Warriors, Dallas Cowboys, Ajax, Inter Milan]],
  symptom = list [[headache, fever, chest pain, sore throat, back pain, cough, nausea, dizziness, insomnia, fatigue, rash, toothache,
    shortness of breath, stomach ache, joint pain, blurred vision]],
  disease = list "influenza, diabetes, asthma, malaria, hypertension, migraine, pneumonia, covid-19, arthritis, anemia, tuberculosis",
  medicine = list "aspirin, ibuprofen, penicillin, insulin, paracetamol, metformin, amoxicillin, vitamin D, melatonin, cortisone",
  chemical = list "water, methane, ethanol, glucose, ammonia, sodium chloride, carbon dioxide, benzene, sulfuric acid, ozone",
  element = list "hydrogen, oxygen, gold, iron, carbon, helium, sodium, silver, copper, uranium, nitrogen, neon",
  planet = list "Mars, Venus, Jupiter, Saturn, Mercury, Neptune, Uranus, Earth, the Moon, Pluto",
  stock = list "AAPL, GOOG, MSFT, TSLA, AMZN, NFLX, NVDA, META, IBM, INTC, BTC, ETH, SAP, ORCL",
  event = list [[team meeting, dentist appointment, birthday party, yoga class, project review, lunch with Anna, doctor's visit,
    job interview, wedding, concert, piano lesson, parent evening, budget call, book club, training session, flight to Rome, stand-up]],
  task = list [[buy milk, call mom, pay the rent, water the plants, send the report, book the flight, clean the kitchen, renew passport,
    pick up the kids, walk the dog, fix the bug, review the slides, order paper, take out the trash, email the client]],
  message = list [[I am running late, see you at eight, the meeting is cancelled, happy birthday, can you call me back, thanks for dinner,
    dinner is ready, I will be home soon, please send the invoice, good luck today, let's meet tomorrow, the package has arrived]],
  hotel = list "Hilton, Marriott, Grand Hotel, Holiday Inn, Ritz, Plaza, Seaside Inn, Hyatt Regency, Park Inn, Sunset Resort",
  airline = list "Lufthansa, Delta, United, Air France, KLM, Emirates, Ryanair, Qantas, British Airways, Iberia",
  landmark = list [[Eiffel Tower, Louvre Museum, Big Ben, Colosseum, Statue of Liberty, Central Park, Golden Gate Bridge, Taj Mahal,
    British Museum, Acropolis, Brandenburg Gate, Empire State Building, Alhambra, Buckingham Palace]],
  street = list [[12 Main Street, 221B Baker Street, 5 Elm Road, 1600 Pennsylvania Avenue, 77 Oak Lane, 10 Downing Street,
    4 Privet Drive, 350 Fifth Avenue, 98 Maple Court, 31 Harbour View]],
  job = list "software engineer, nurse, teacher, data analyst, electrician, chef, accountant, project manager, designer, plumber",
  department = list "sales, marketing, engineering, finance, human resources, support, legal, research, logistics, design",
  genre = list "rock, jazz, classical, pop, hip hop, country, blues, metal, comedy, horror, drama, science fiction, romance, thriller",
  room = list "kitchen, bedroom, living room, office, bathroom, garage, hallway, garden, basement, nursery",
  file = list [[report.pdf, notes.txt, budget.xlsx, photo.jpg, main.py, data.csv, thesis.docx, backup.zip, slides.pptx, config.json,
    /srv/lists/todo.txt, C:\\temp\\log.txt, invoice_2023.pdf, index.html]],
  subject = list "mathematics, physics, history, biology, chemistry, geography, music, economics, art, computer science",
  crop = list "wheat, corn, soybeans, rice, potatoes, grapes, tomatoes, barley, cotton, apples",
  plant = list "rose, tulip, oak, maple tree, basil, cactus, orchid, fern, lavender, sunflower, bamboo, ivy",
  exercise = list "push-ups, squats, running, cycling, swimming, yoga, rowing, plank, deadlifts, walking",
  word = list "serendipity, ephemeral, ubiquitous, gratitude, paradox, resilience, nostalgia, algorithm, melancholy, zeal, candid",
  team_name = list "Alpha, Phoenix, Red Foxes, Blue Team, Night Owls, Pioneers, Rangers, Wildcats",
  password = list "hunter2, newpassword, qwerty123, Pa55word, letmein, s3cret!, abc123",
  model = list "ResNet50, VGG16, BERT, GPT-2, random forest, XGBoost, logistic regression, LSTM",
}

local months = list "January, February, March, April, May, June, July, August, September, October, November, December"
local weekdays = list "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday"
local suffixes = {"st", "nd", "rd"}

local makers = {}
function makers.date(random)
  local roll, day, month = random.number(), random.integer(1, 28), random.integer(1, 12)
  local year = random.integer(2018, 2026)
  if roll < 0.25 then return ("%d-%02d-%02d"):format(year, month, day)
  elseif roll < 0.45 then return months[month] .. " " .. (day > 3 and day < 21 and day .. "th" or day % 10 < 4 and day % 10 > 0
    and day .. suffixes[day % 10] or day .. "th")
  elseif roll < 0.55 then return months[month] .. " " .. day .. ", " .. year
  elseif roll < 0.65 then return ("%02d/%02d/%d"):format(month, day, year)
  elseif roll < 0.8 then return random.pick{"tomorrow", "today", "tonight", "next week", "this weekend", "next month"}
  end
  return random.pick{"next ", "this ", "", ""} .. random.pick(weekdays)
end
function makers.isodate(random)
  return ("%d-%02d-%02d"):format(random.integer(2010, 2026), random.integer(1, 12), random.integer(1, 28))
end
function makers.time(random)
  local roll = random.number()
  if roll < 0.4 then return random.integer(1, 12) .. random.pick{" am", " pm", "pm", "am", " PM"}
  elseif roll < 0.6 then return ("%d:%02d"):format(random.integer(1, 12), random.pick{0, 15, 30, 45}) .. random.pick{" am", " pm", ""}
  elseif roll < 0.8 then return ("%02d:%02d"):format(random.integer(0, 23), random.pick{0, 10, 15, 30, 45, 59})
  end
  return random.pick{"noon", "midnight", "half past six", "seven o'clock", "in the evening"}
end
function makers.month(random) return random.pick(months) end
function makers.weekday(random) return random.pick(weekdays) end
function makers.year(random) return random.integer(1850, 2026) end
function makers.email(random)
  return random.pick{"john", "anna.b", "info", "sales", "m.lee", "support", "kate99", "wei_chen"} .. "@"
    .. random.pick{"example.com", "mail.org", "gmail.com", "company.net", "uni.edu"}
end
function makers.url(random)
  return random.pick{"www.", "https://", "", "http://www."} .. random.pick{"example", "mysite", "news", "shop24", "openmaps", "wikipages"}
    .. random.pick{".com", ".org", ".net", ".io"} .. random.pick{"", "", "/index", "/about", "/a/b"}
end
function makers.id(random)
  local roll = random.number()
  if roll < 0.4 then return tostring(random.integer(1000, 999999))
  elseif roll < 0.7 then
    return random.pick{"A", "B", "USR", "ORD", "ID", "TK", "X"} .. random.pick{"", "-"} .. random.integer(10, 99999)
  end
  local parts = {}
  for i = 1, random.integer(6, 10) do
    parts[i] = random.chance(0.5) and string.char(random.integer(97, 122)) or tostring(random.integer(0, 9))
  end
  return table.concat(parts)
end
function makers.phone(random)
  return ("%03d-%03d-%04d"):format(random.integer(200, 999), random.integer(100, 999), random.integer(0, 9999))
end
function makers.flight(random) return random.pick{"LH", "BA", "AA", "DL", "UA", "AF"} .. random.integer(10, 2999) end
function makers.zip(random) return tostring(random.integer(10000, 99999)) end
function makers.amount(random)
  return random.chance(0.7) and random.pick{5, 10, 20, 25, 50, 75, 100, 150, 200, 250, 500, 1000, 1500, 5000}
    or random.integer(1, 9999)
end
function makers.percent(random) return random.integer(1, 100) end
function makers.decimal(random) return random.integer(1, 999) / random.pick{10, 100} end

local whole = {year = true, amount = true, percent = true}

-- The type of a kind's values, as schemas have it.
function kinds.type(kind) return whole[kind] and "integer" or kind == "decimal" and "number" or "string" end

-- Whether there is a kind of this name.
function kinds.has(kind) return values[kind] ~= nil or makers[kind] ~= nil end

-- A value of a kind, or nil when there is no such kind.
function kinds.value(random, kind)
  if values[kind] then return random.pick(values[kind]) end
  return makers[kind] and makers[kind](random) or nil
end

return kinds
