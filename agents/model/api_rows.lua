-- luacheck: no max line length
-- Makes rows for many small services from lists and phrases of our own: numbers, lists, booleans, one wish or several, tools of other
-- services beside the right one. They widen what the rows read from files have: kinds of tools, types of values, ways to ask.
local words = require "mobilellm.train.words"
local wording = require "wording"

local api_rows = {}

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
    /home/ann/todo.txt, C:\\temp\\log.txt, invoice_2023.pdf, index.html]],
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

-- A value of a kind (of the lists and makers above), or nil when there is no such kind.
function api_rows.value(random, kind)
  if values[kind] then return random.pick(values[kind]) end
  return makers[kind] and makers[kind](random) or nil
end

-- name | description | parameters | phrases. A parameter is name:kind, `?` for one that may be left out. Kinds are those above, int(1-9),
-- a/b/c for one of these words, kind[] for a list, and bool. In phrases {name} is said, [..] is said or left out, and [name=true: ..] sets
-- a boolean. Tools in a row of lines without an empty one between them are alike, so that they tempt.
local catalogue = [[
weather_now | Get the current weather for a city | city:city, unit?:celsius/fahrenheit | what's the weather in {city}[ in {unit}]; how is the weather in {city} right now; tell me the current weather for {city}[, in {unit} please]; is it raining in {city}
get_weather_forecast | Forecast for the next days | location:city, days:int(1-14), include_rain?:bool | give me the forecast for {location} for the next {days} days[include_rain=true: including rain]; what will the weather be like in {location} over the next {days} days; {days} day forecast for {location}
air_quality.lookup | Air quality index of a place on a date | location:city, date?:date | how is the air quality in {location}[ {date}]; check the air quality index for {location}[ on {date}]; is the air in {location} clean
sunrise_times | When the sun rises and sets | city:city, date:date | when does the sun rise in {city} {date}; sunrise time in {city} for {date}

body.mass_index | Body mass index from weight and height | weight:int(40-150), height:int(140-210) | calculate the BMI of somebody who weighs {weight} kg and is {height} cm tall; my weight is {weight} kilograms and my height {height} cm, what is my body mass index; BMI for height {height} cm and weight {weight} kg
calories_burned | Calories burned by an activity | activity:exercise, minutes:int(5-180), weight?:int(40-150) | how many calories do I burn with {minutes} minutes of {activity}[ at {weight} kg]; calories for {activity}, {minutes} minutes
log_workout | Records an exercise | exercise:exercise, duration:int(5-120), date?:date | log {duration} minutes of {exercise}[ for {date}]; I did {exercise} for {duration} minutes[ on {date}], write it down
drink_water_reminder | Reminds to drink | glasses:int(1-12) | remind me to drink {glasses} glasses of water; {glasses} glasses of water a day please

calculate_area_rectangle | Area of a rectangle | length:int(1-500), width:int(1-500) | what is the area of a rectangle with length {length} and width {width}; find the area of a {length} by {width} rectangle; calculate the area of a rectangle, {length} long and {width} wide
triangle_area | Area of a triangle from base and height | base:int(1-100), height:int(1-100) | area of a triangle with a base of {base} and a height of {height}; calculate the area of a triangle whose base is {base} units and height is {height} units
circle.circumference | Circumference of a circle | radius:int(1-99), unit?:cm/m/inches | circumference of a circle of radius {radius}[ {unit}]; how long is the rim of a circle with radius {radius}
numbers.factorial | Factorial of a whole number | number:int(1-30) | what's the factorial of {number}; compute {number} factorial; calculate the factorial of {number}
numbers.common_divisor | Greatest common divisor | num1:int(2-999), num2:int(2-999) | greatest common divisor of {num1} and {num2}; find the gcd of {num1} and {num2}
prime_factorize | Prime factors of a number | number:int(4-99999) | find the prime factors of {number}; factorize {number}; which primes divide {number}
is_prime | Tells whether a number is prime | n:int(2-9999) | is {n} a prime number; check whether {n} is prime
equation_roots | Roots of a quadratic equation | a:int(1-20), b:int(1-50), c:int(1-90) | solve the quadratic equation with a={a}, b={b} and c={c}; find the roots for a = {a}, b = {b}, c = {c}
numbers.average | Mean of numbers | numbers:int(1-99)[] | what's the average of {numbers}; compute the mean of the numbers {numbers}
numbers.middle | Median of numbers | data:int(1-99)[] | find the median of {data}; median of these values: {data}
sort_numbers | Sorts numbers | values:int(1-200)[], descending?:bool | sort {values}[descending=true: in descending order]; put {values} in order
random_number | A random whole number | min:int(0-10), max:int(20-999) | give me a random number between {min} and {max}; pick a number from {min} to {max}
convert_units | Converts between units | value:decimal, from_unit:miles/kilometers/pounds/feet/gallons, to_unit:meters/grams/inches/liters/yards | convert {value} {from_unit} to {to_unit}; how many {to_unit} are {value} {from_unit}
savings.interest | Interest on savings | principal:amount, rate:int(1-15), years:int(1-40) | if I invest {principal} at {rate} percent for {years} years, how much interest do I get; compound interest on {principal} over {years} years at a rate of {rate}%

currency_converter | Converts an amount between currencies | amount:amount, from:currency, to:currency | convert {amount} {from} to {to}; how much is {amount} {from} in {to}; change {amount} {from} into {to}
money_rate | Exchange rate of two currencies | base:currency, target:currency, date?:date | what's the exchange rate from {base} to {target}[ on {date}]; {base} to {target} rate
share_price | Latest price of a share | symbol:stock, exchange?:NASDAQ/NYSE/XETRA | what's the price of {symbol}[ on {exchange}]; get the stock price for {symbol}; how much is {symbol} trading at
stock_history | Prices of the last days | company:company, days:int(2-90) | show me the stock prices of {company} for the last {days} days; {company} stock over the past {days} days
buy_shares | Orders shares | symbol:stock, quantity:int(1-500) | buy {quantity} shares of {symbol}; place an order for {quantity} {symbol} shares
pay_person | Sends money to somebody | recipient:person, amount:amount, currency?:currency, note?:message | send {amount}[ {currency}] to {recipient}; transfer {amount} to {recipient}['s account]; pay {recipient} {amount}[ with the note "{note}"]
account_balance | Balance of an account | account_type:checking/savings/credit | what's my {account_type} balance; how much money is in my {account_type} account
loan_payment | Monthly payment of a loan | loan_amount:amount, interest_rate:decimal, term_years:int(1-40) | monthly payment for a loan of {loan_amount} at {interest_rate} percent over {term_years} years; I want to borrow {loan_amount} for {term_years} years at {interest_rate}%
add_expense | Notes an expense | amount:amount, category:food/travel/rent/fun/health | I spent {amount} on {category}; add an expense of {amount} for {category}

search_flights | Finds flights | origin:city, destination:city, departure_date:date, passengers?:int(1-6), nonstop?:bool | find flights from {origin} to {destination} {departure_date}[ for {passengers} people]; I need a flight from {origin} to {destination} on {departure_date}[nonstop=true: , nonstop only]; fly me to {destination} from {origin} {departure_date}
take_flight | Books a flight by its number | flight_number:flight, passenger_name:person, seat_class?:economy/business/first | book flight {flight_number} for {passenger_name}[ in {seat_class}]; reserve a[ {seat_class}] seat on {flight_number} under the name {passenger_name}
flight_status | Whether a flight is on time | flight:flight, date?:date | what's the status of flight {flight}[ on {date}]; is {flight} on time; has {flight} landed
hotels.list | Hotels in a city | city:city, check_in:date, nights:int(1-21), stars?:int(2-5) | find[ {stars} star] hotels in {city} from {check_in} for {nights} nights; I need a place to stay in {city} for {nights} nights starting {check_in}
book_hotel_room | Books a room | hotel:hotel, guests:int(1-6), arrival:date, departure:date | book a room at the {hotel} for {guests} guests from {arrival} to {departure}; reserve the {hotel} from {arrival} until {departure} for {guests} people
rent_car | Rents a car | pickup_city:city, pickup_date:date, return_date:date, car_type?:compact/suv/van/convertible | rent a[ {car_type}] car in {pickup_city} from {pickup_date} to {return_date}; I need a car in {pickup_city} {pickup_date}, back {return_date}
distance_between | Distance of two places | place1:city, place2:city, unit?:km/miles | how far is it from {place1} to {place2}[ in {unit}]; distance between {place1} and {place2}
route_to | The way from one place to another | start:street, end:landmark, mode?:driving/walking/transit/cycling | how do I get from {start} to the {end}[ by {mode}]; directions from {start} to {end}[, {mode}]
get_timezone | Local time zone | location:city | what time zone is {location} in; time zone of {location}
world_time | Current time in a city | city:city | what time is it in {city}; current time in {city}
museum_hours | Opening hours of a museum or sight | name:landmark, day?:weekday | when is the {name} open[ on {day}]; opening hours of {name}[ on {day}]
visa_requirements | Visa needed for travelling | nationality:country, destination:country | do I need a visa for {destination} with a passport of {nationality}; visa rules for citizens of {nationality} travelling to {destination}
train_tickets.buy | Buys train tickets | from_station:city, to_station:city, date:date, tickets:int(1-8) | buy {tickets} train tickets from {from_station} to {to_station} for {date}; {tickets} tickets to {to_station} from {from_station} {date}

recipes_with | Recipes with given ingredients | ingredients:food[], vegetarian?:bool, max_minutes?:int(10-120) | find a[vegetarian=true: vegetarian] recipe with {ingredients}[ in under {max_minutes} minutes]; what can I cook with {ingredients}; recipes using {ingredients}
get_nutrition | Nutrition facts of a food | food:food, grams?:int(10-500) | how many calories are in[ {grams} grams of] {food}; nutrition facts for {food}
order_food | Orders a dish | dish:dish, quantity:int(1-9), address:street | order {quantity} {dish} to {address}; I'd like {quantity} portions of {dish} delivered to {address}
places_to_eat | Restaurants nearby | cuisine:cuisine, location:city, price?:cheap/moderate/expensive | find[ {price}] {cuisine} restaurants in {location}; where can I eat {cuisine} food in {location}; I'm hungry for {cuisine} in {location}
reserve_table | Books a table | restaurant:hotel, people:int(1-12), time:time, date?:date | book a table for {people} at {restaurant} at {time}[ {date}]; table for {people} at the {restaurant}, {time}
shopping_list.add | Puts things on the shopping list | items:food[] | add {items} to the shopping list; we need {items}; put {items} on my shopping list

put_on_song | Plays a song | title:song, artist?:artist | play {title}[ by {artist}]; put on {title}; I want to hear {title}[ by {artist}]
play_genre | Plays music of a genre | genre:genre, volume?:percent | play some {genre}[ at volume {volume}]; I'm in the mood for {genre} music
create_playlist | Makes a playlist | name:event, genre?:genre, length?:int(5-100) | create a playlist called {name}[ with {length} songs]; new[ {genre}] playlist named "{name}"
concert_tickets | Finds concerts | artist:artist, city:city, date?:date | are there concerts of {artist} in {city}[ {date}]; find tickets for {artist} in {city}
movie_details | About a film | title:movie, year?:year | tell me about the movie {title}[ from {year}]; who directed {title}; details of the film {title}
movie_showtimes | When a film is shown | movie:movie, location:city, date?:date | when is {movie} playing in {location}[ {date}]; showtimes for {movie} in {location}
book_search | Searches books | title?:book, author?:person, limit?:int(1-20) | find the book {title}; books by {author}[, at most {limit}]; search for {title}[ by {author}]
library.reserve | Reserves a book | book:book, member_id:id | reserve {book} for member {member_id}; my library card is {member_id}, put {book} on hold
tv_remote | Switches the channel | channel:int(1-99) | switch to channel {channel}; channel {channel} please

alarm.new | Sets an alarm clock | time:time, label?:task | wake me up at {time}; set an alarm for {time}[ to {label}]; alarm at {time}[ called {label}]
alarm.drop | Removes an alarm | time:time | delete the {time} alarm; cancel my alarm at {time}; remove the alarm set for {time}
set_timer | Starts a countdown | minutes:int(1-120), name?:dish | set a timer for {minutes} minutes[ for the {name}]; {minutes} minute timer; count down {minutes} minutes
remind_me | Reminds of something | content:task, time:time, date?:date | remind me to {content} at {time}[ {date}]; reminder: {content}, {time}[ {date}]; don't let me forget to {content} at {time}
forget_reminder | Deletes a reminder | content:task | delete the reminder to {content}; I don't need the reminder "{content}" any more
calendar.put | Puts an event into the calendar | title:event, date:date, start_time:time, attendees?:person[] | schedule a {title} for {date} at {start_time}[ with {attendees}]; put {title} in my calendar, {date} {start_time}; add {title} on {date} at {start_time}
cancel_event | Takes an event out of the calendar | title:event, date?:date | cancel the {title}[ on {date}]; remove {title} from my calendar
room_for_meeting | Books a room for a meeting | room_id:id, start:time, end:time, date?:date | book meeting room {room_id} from {start} to {end}[ {date}]; I need room {room_id} between {start} and {end}
add_todo | Adds a task | task:task, priority?:low/medium/high, due?:date | add {task} to my to-do list[ with {priority} priority]; new[ {priority} priority] task: {task}[ by {due}]
complete_todo | Marks a task as done | task:task | I'm done with "{task}"; mark {task} as done; check off {task}

mail_to | Sends an email | to:email, subject:event, body?:message | email {to} about the {subject}[ and say {body}]; send an email to {to} with the subject {subject}[: "{body}"]
send_text | Sends a text message | contact:person, message:message | text {contact} "{message}"; tell {contact} that {message}; send {contact} a message saying {message}
make_call | Calls a number or person | contact:person | call {contact}; give {contact} a ring; phone {contact}
call_number | Dials a number | number:phone | dial {number}; call the number {number}
add_contact | Saves a contact | name:person, phone:phone, email?:email | save {name} with number {phone}[ and email {email}]; new contact {name}, {phone}
search_emails | Searches the mailbox | query?:topic, sender?:email, unread?:bool | find[unread=true: unread] mails from {sender}; search my inbox for {query}; emails about {query}[ from {sender}]
say_in_language | Translates a text | text:message, target_language:language, source_language?:language | translate "{text}" into {target_language}; how do you say "{text}" in {target_language}; {target_language} translation of "{text}"[ from {source_language}]
define_word | Meaning of a word | word:word, language?:language | what does {word} mean[ in {language}]; define {word}; look up the word "{word}"
synonyms.find | Words of like meaning | word:word, count?:int(1-10) | give me[ {count}] synonyms for {word}; another word for {word}
wiki_search | Searches an encyclopedia | keyword:topic | look up {keyword} on wikipedia; search the encyclopedia for {keyword}; tell me about {keyword}
news.search | News about a topic | topic:topic, country?:country, from_date?:isodate | news about {topic}[ in {country}]; what's new on {topic}[ since {from_date}]; headlines about {topic}
web_search | Searches the web | query:topic, results?:int(1-20) | google {query}; search the web for {query}[ and give me {results} results]; find pages about {query}
summarize_url | Sums up a web page | url:url, sentences?:int(1-10) | summarize {url}[ in {sentences} sentences]; give me the gist of {url}
check_website | Whether a site is up | url:url | is {url} down; check if {url} is reachable
getDomainInfo | Registration data of a domain | domain:url | who owns {domain}; whois {domain}
dns.resolve | IP address of a host | hostname:url, ipv6?:bool | what's the[ipv6=true: IPv6] address of {hostname}; resolve {hostname}

new_account | Makes an account | username:id, email:email, password:password | create an account for {username} with email {email} and password {password}; register {username}, {email}, password {password}
reset_password | Changes a password | username:id, new_password:password | reset the password of {username} to {new_password}; my username is {username} and I want {new_password} as my new password
order_progress | Where an order is | order_id:id | where is my order {order_id}; status of order {order_id}; track {order_id}
return_item | Sends a product back | order_id:id, reason:broken/late/wrong size/unwanted | I want to return order {order_id} because it is {reason}; return {order_id}, reason: {reason}
search_products | Searches a shop | query:product, max_price?:amount, sort_by?:price/rating/newest | find me a {query}[ under {max_price} dollars]; search for {query}[ sorted by {sort_by}]; I'm looking for a {query}
add_to_cart | Puts a product into the cart | product:product, quantity:int(1-9) | add {quantity} {product} to my cart; put {quantity} of the {product} into the cart
product_reviews | Reviews of a product | product:product, stars?:int(1-5) | show me[ {stars} star] reviews of the {product}; what do people say about {product}

doctor.book | Appointment with a doctor | patient:person, doctor:person, date:date, time?:time | book an appointment with {doctor} for {patient} on {date}[ at {time}]; {patient} wants to see {doctor} {date}[, {time}]
reschedule_appointment | Moves an appointment | appointment_id:id, new_date:date | move appointment {appointment_id} to {new_date}; reschedule {appointment_id} for {new_date}
drug_interactions | Whether drugs go together | drugs:medicine[] | can I take {drugs} together; check interactions of {drugs}
disease_statistics | Cases of a disease | disease:disease, country:country, year?:year | how many cases of {disease} were there in {country}[ in {year}]; {disease} statistics for {country}[, {year}]
lab.detect | Tests a sample | sample:food, method:PCR/culture/microscopy/ELISA | test a {sample} sample with {method}; use {method} to check the {sample} for contamination

people_count | Inhabitants of a place | country:country, year?:year | what's the population of {country}[ in {year}]; how many people live in {country}
country.capital | Capital of a country | country:country | what is the capital of {country}; capital city of {country}
historical_event | What happened in a year | year:year, country?:country | what happened in {year}[ in {country}]; historical events of {year}
this_day_in_history | What happened on a day | month:month, day:int(1-28) | what happened on {month} {day} in history; events on {month} {day}
person_biography | Life of a person | name:person, details?:bool | who is {name}; tell me about {name}[details=true: in detail]
animal_info | Facts about an animal | animal:animal, aspect?:diet/habitat/lifespan/size | what is the {aspect} of a {animal}; tell me about the {animal}['s {aspect}]
plant_care | How to care for a plant | plant:plant, indoor?:bool | how do I care for a {plant}[indoor=true: indoors]; care tips for my {plant}
element_properties | Properties of a chemical element | element:element, property?:density/boiling point/atomic number | what's the {property} of {element}; properties of {element}
molecular_weight | Weight of a molecule | compound:chemical, unit?:grams/kilograms | molecular weight of {compound}; how heavy is a molecule of {compound}
planet_distance | Distance of a planet from the sun | planet:planet, unit?:km/AU/miles | how far is {planet} from the sun[ in {unit}]; distance to {planet}
kinetic_energy | Kinetic energy of a body | mass:int(1-900), velocity:int(1-300) | kinetic energy of a body of {mass} kg at {velocity} m/s; calculate the kinetic energy, mass {mass}, velocity {velocity}
free_fall | Speed of a falling body | height:int(1-900), gravity?:decimal | how fast is an object dropped from {height} m[ with gravity {gravity}]; final velocity after falling {height} meters
ohms_law | Voltage from current and resistance | current:int(1-20), resistance:int(1-900) | voltage for a current of {current} A and a resistance of {resistance} ohm; {current} amperes through {resistance} ohms, how many volts

team_score | Result of a team's last match | team:team, league?:NBA/NFL/MLB/La Liga/Premier League | how did {team} play; latest score of {team}[ in the {league}]; did {team} win
player_stats | Statistics of a player | player:person, season?:year, sport?:sport | stats of {player}[ in the {season} season]; how did {player} do in {sport}
league_standings | The table of a league | league:NBA/NFL/MLB/La Liga/Premier League/Serie A, season:year | standings of the {league} in {season}; {league} table for season {season}
book_court | Books a court | sport:tennis/badminton/squash/basketball, date:date, time:time | book a {sport} court on {date} at {time}; reserve a {sport} court for {date}, {time}
chess.best_move | Best move of a position | position:id, depth?:int(5-30) | what's the best move in position {position}[ at depth {depth}]; analyze the position {position}
roll_dice | Rolls dice | count:int(1-10), sides:int(4-20) | roll {count} dice with {sides} sides; throw {count} {sides}-sided dice

create_file | Makes a file | path:file, content?:message | create a file {path}[ with the text "{content}"]; make {path}
delete_file | Deletes a file | path:file | delete {path}; remove the file {path}
move_file | Moves or renames a file | source:file, destination:file | move {source} to {destination}; rename {source} to {destination}
search_files | Finds files | pattern:file, folder?:department | find {pattern}[ in the {folder} folder]; where is {pattern}
run_query | Reads rows of a database table | table:department, limit?:int(1-500) | show[ {limit}] rows of the {table} table; query the table {table}[ with a limit of {limit}]
train_model | Trains a model | model:model, epochs:int(1-100), learning_rate?:decimal | train {model} for {epochs} epochs[ with a learning rate of {learning_rate}]; run {epochs} epochs of {model}
deploy_service | Puts a service into production | service:department, version:decimal, replicas?:int(1-9) | deploy {service} version {version}[ with {replicas} replicas]; roll out version {version} of {service}
create_ticket | Opens a support ticket | title:task, priority:low/normal/urgent, assignee?:person | open a {priority} ticket: {title}; create a ticket "{title}" with {priority} priority[ for {assignee}]
ticket.give | Gives a ticket to somebody | ticket_id:id, assignee:person | assign ticket {ticket_id} to {assignee}; give {ticket_id} to {assignee}

employee_info | Data of an employee | employee_id:id, fields?:bool | show me employee {employee_id}; details of the employee with id {employee_id}
hire_employee | Adds an employee | name:person, position:job, department:department, salary?:amount | hire {name} as a {position} in {department}[ for {salary}]; add {name} to {department} as {position}
job_search | Finds open positions | title:job, location:city, remote?:bool | find[remote=true: remote] {title} jobs in {location}; I'm looking for work as a {title} in {location}
company_profile | About a company | company:company | tell me about the company {company}; who runs {company}; profile of {company}
tax_estimate | Income tax | income:amount, state:city, married?:bool | how much tax on an income of {income} in {state}[married=true: if I am married]; estimate my taxes, income {income}, I live in {state}
course_enroll | Enrolls for a course | student_id:id, course:subject | enroll student {student_id} in {course}; sign up {student_id} for the {course} course
grade_lookup | A student's grade | student:person, subject:subject, semester?:spring/fall/summer | what grade did {student} get in {subject}[ in {semester}]; {student}'s {subject} grade
find_tutor | Finds a teacher | subject:subject, city:city, max_rate?:amount | find a {subject} tutor in {city}[ for at most {max_rate} an hour]; I need help with {subject} in {city}

thermostat.set | Sets the temperature of a room | room:room, temperature:int(15-28) | set the {room} to {temperature} degrees; make it {temperature} degrees in the {room}
lights.switch | Switches lights | room:room, state:on/off, brightness?:percent | turn {state} the lights in the {room}; {room} lights {state}[ at {brightness} percent]
robot.clean | Lets the robot clean | rooms:room[] | vacuum the {rooms}; let the robot clean {rooms}
camera.snapshot | Takes a picture | camera:room | take a picture with the {camera} camera; show me the {camera}
crop_yield | Expected harvest | crop:crop, hectares:int(1-500), region:country | expected yield of {crop} on {hectares} hectares in {region}; how much {crop} can I harvest from {hectares} hectares in {region}
soil.moisture | Moisture of a field | field_id:id | how wet is field {field_id}; soil moisture of {field_id}
parcel_rates | Price of a parcel | weight:decimal, from_zip:zip, to_zip:zip | how much is a parcel of {weight} kg from {from_zip} to {to_zip}; postage for {weight} kilos from {from_zip} to {to_zip}
track_parcel | Where a parcel is | tracking_number:id | where is parcel {tracking_number}; track my package {tracking_number}
real_estate.search | Homes for sale or rent | city:city, bedrooms:int(1-6), max_price?:amount | find {bedrooms} bedroom homes in {city}[ under {max_price}]; {bedrooms} bedroom flat in {city}
property_value | Estimate of a house's value | address:street, city?:city | what is {address}[ in {city}] worth; estimate the value of the house at {address}
find_event | What is on in a city | city:city, category:concert/theatre/festival/exhibition, date?:date | any {category} in {city}[ {date}]; find a {category} in {city}
horoscope | Horoscope of a sign | sign:aries/leo/virgo/libra/gemini/pisces | horoscope for {sign}; what do the stars say for {sign}
tell_joke | Tells a joke | topic?:animal | tell me a joke[ about a {topic}]; make me laugh
qr_code | Makes a QR code | content:url, size?:int(100-900) | make a QR code for {content}[, {size} pixels]; QR code of {content}
image.resize | Changes the size of an image | file:file, width:int(50-4000), height:int(50-4000) | resize {file} to {width} by {height}; scale {file} to {width}x{height}
make_password | Makes a password | length:int(6-40), symbols?:bool | generate a password of {length} characters[symbols=true: with symbols]; I need a {length} character password
]]

---------------------------------------------------------------------------------------------------------------- reading the above

local function parameter(text)
  local name, optional, kind = text:match "^([%w_]+)(%??):(.+)$"
  assert(name, "api_rows: parameter " .. text)
  local p = {name = name, optional = optional == "?", schema = {}}
  local low, high = kind:match "^int%((%d+)%-(%d+)%)"
  local many = kind:match "%[%]$" ~= nil
  local plain = kind:gsub("%[%]$", "")
  if kind == "bool" then
    p.schema.type = "boolean"
    return p
  end
  if low then
    low, high = tonumber(low), tonumber(high)
    p.schema.type = "integer"
    p.make = function(random) return random.integer(low, high) end
  elseif values[plain] then
    p.schema.type = "string"
    p.make = function(random) return random.pick(values[plain]) end
  elseif makers[plain] then
    p.schema.type = (plain == "year" or plain == "amount" or plain == "percent") and "integer" or plain == "decimal" and "number" or "string"
    p.make = makers[plain]
  else
    local enum = {}
    for item in kind:gmatch "[^/]+" do enum[#enum + 1] = item end
    assert(#enum > 1, "api_rows: kind " .. kind)
    p.schema.type, p.schema.enum = "string", enum
    p.make = function(random) return random.pick(enum) end
  end
  if many then
    p.schema = {type = "array", items = p.schema}
    p.many = true
  end
  return p
end

local groups = {}
api_rows.names = {} -- of its tools, as they stand above
for block in (catalogue .. "\n\n"):gmatch "(.-)\n\n+" do
  local group = {}
  for line in block:gmatch "[^\n]+" do
    local name, description, parameters, phrases = line:match "^(%S+) | (.-) | (.-) | (.+)$"
    assert(name, "api_rows: line " .. line)
    local tool = {name = name, description = description, parameters = {type = "object", properties = {}, required = {}}}
    local entry = {tool = tool, by_name = {}, phrases = {}}
    for text in parameters:gmatch "[^,]+" do
      local p = parameter(text:match "^%s*(.-)%s*$")
      entry.by_name[p.name] = p
      tool.parameters.properties[p.name] = p.schema
      if not p.optional then table.insert(tool.parameters.required, p.name) end
    end
    for phrase in phrases:gmatch "[^;]+" do entry.phrases[#entry.phrases + 1] = phrase:match "^%s*(.-)%s*$" end
    group[#group + 1] = entry
    api_rows.names[#api_rows.names + 1] = name
  end
  if #group > 0 then groups[#groups + 1] = group end
end

-- One wish: a sentence and its call.
local function wish(random, entry)
  local phrase = random.pick(entry.phrases)
  local arguments = {}
  phrase = phrase:gsub("%b[]", function(group)
    local inside = group:sub(2, -2)
    local name, value, text = inside:match "^([%w_]+)=(%a+):(.*)$"
    if not random.chance(0.45) then return "" end
    if name then
      arguments[name] = value == "true"
      return text
    end
    return inside
  end)
  phrase = phrase:gsub("{([%w_]+)}", function(name)
    local p = assert(entry.by_name[name], name)
    local value
    if p.many then
      value = {}
      for i = 1, random.integer(1, 4) do
        local item = p.make(random)
        for _, other in ipairs(value) do
          if other == item then item = nil end
        end
        if item ~= nil then value[#value + 1] = item end
        if i == 1 and #value == 0 then value[1] = item end
      end
    else
      value = p.make(random)
    end
    arguments[name] = value
    return (wording.spoken(value))
  end)
  return phrase, {name = entry.tool.name, arguments = arguments}
end

local openings = {"", "", "", "", "", "", "", "please ", "can you ", "hey, ", "I'd like to know: ", "could you ", "ok, ", "hi! ", "Hello. "}
local endings = {"", "", "", "?", ".", "?", ".", " please", ", thanks", "!", " for me"}
local joints = {" and ", ". Then ", ". Also, ", ", and ", "; ", ". ", ". After that, ", ", then "}

-- A row: one wish, or several of the same or of different tools, with tools beside them that nobody asked for.
function api_rows.row(random)
  local row = {tools = {}, calls = {}, source = "api_rows", kind = "call"}
  local function offer(tool)
    for _, other in ipairs(row.tools) do
      if other.name == tool.name then return end
    end
    row.tools[#row.tools + 1] = tool
  end
  local group = random.pick(groups)
  local entry = random.pick(group)
  local text, call = wish(random, entry)
  row.calls[1] = call
  offer(entry.tool)
  if random.chance(0.6) then text = wording.capital(text) end
  local more = random.chance(0.3) and random.integer(1, 2) or 0
  for _ = 1, more do
    if random.chance(0.5) then
      group = random.pick(groups)
      entry = random.pick(group)
    end
    local next_text, next_call = wish(random, entry)
    local joint = random.pick(joints)
    text = text .. joint .. (joint:find "%. $" and wording.capital(next_text) or next_text)
    row.calls[#row.calls + 1] = next_call
    offer(entry.tool)
    row.kind = "parallel"
  end
  local wanted = math.max(#row.tools, random.pick{1, 2, 2, 3, 3, 4, 5, 6})
  for _ = 1, 12 do
    if #row.tools >= wanted then break end
    offer(random.pick(random.chance(0.6) and group or random.pick(groups)).tool)
  end
  text = random.pick(openings) .. text .. random.pick(endings)
  -- What was said may have been prepared by an exchange of words, or asked back for.
  row.messages = {{role = "user", content = text}}
  if random.chance(0.12) then
    row.messages = {
      {role = "user", content = random.pick{"hello", "Hi, can you help me?", "I need some help", "are you there", "Good morning"}},
      {role = "assistant", content = random.pick{"Sure, what can I do for you?", "Of course.", "Yes, what do you need?", "How can I help?"}},
      {role = "user", content = text},
    }
  end
  if random.chance(0.1) then
    row.messages[#row.messages + 1] = {role = "assistant", content = random.pick{"Sure, let me handle that for you.", "Okay.",
      "Of course, one moment.", "Alright, I will do that.", "Let me check."}}
  end
  return row
end

return api_rows
